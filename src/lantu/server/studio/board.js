// A sketch board, whose lines the picture follows; shown if the model has a control.

import { label, tell } from "./words.js";

const $ = (id) => document.getElementById(id);
const PENS = { edges: 1.5, layout: 14, colour: 14 }; // pixels of the picture
const NUDGE = 2; // pixels that an arrow key moves the pen

export class Board {
  /** @param {{controls: string[], size: number[]}} info @param {() => void} onChange called when the sketch changes. */
  constructor(info, onChange) {
    this.canvas = $("board-canvas");
    [this.canvas.width, this.canvas.height] = info.size;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.onChange = onChange;
    this.pen = [info.size[0] / 2, info.size[1] / 2];
    this.strokes = [];
    if (!info.controls.length) return;
    $("board").hidden = false;
    for (const kind of info.controls) {
      const option = document.createElement("option");
      option.value = kind;
      tell(option, `board_kind_${kind}`);
      $("board-kind").append(option);
    }
    $("board-kind").addEventListener("change", () => this.clear());
    $("board-clear").addEventListener("click", () => this.clear());
    $("board-undo").addEventListener("click", () => this.undo());
    $("board-scale").addEventListener("change", () => this.onChange());
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => this.up());
    this.clear();
  }

  /** The sketch as a control for the server; null while it is empty. */
  get control() {
    if (!this.strokes.length) return null;
    return { picture: this.canvas.toDataURL("image/png"), kind: this.kind, scale: Number($("board-scale").value) };
  }

  get kind() {
    return $("board-kind").value;
  }

  clear() {
    this.strokes = [];
    $("board-colour-line").hidden = this.kind !== "colour";
    this.paint();
  }

  undo() {
    this.strokes.pop();
    this.paint();
  }

  begin(point) {
    const colour = this.kind === "colour" ? $("board-colour").value : "white";
    this.strokes.push({ colour, width: PENS[this.kind], points: [point] });
    this.drawing = true;
    this.paint();
  }

  extend(point) {
    this.strokes.at(-1).points.push(point);
    this.paint();
  }

  paint() {
    const { context, canvas } = this;
    context.fillStyle = this.kind === "colour" ? "white" : "black";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.lineCap = context.lineJoin = "round";
    for (const { colour, width, points } of this.strokes) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(...points[0]);
      for (const point of points) context.lineTo(...point);
      context.stroke();
    }
    $("board-undo").disabled = $("board-clear").disabled = !this.strokes.length;
    $("board").dataset.used = String(this.strokes.length > 0);
    label(canvas, "board_label");
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * this.canvas.width;
    return [across, ((event.clientY - box.top) / box.height) * this.canvas.height];
  }

  down(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pen = this.at(event);
    this.begin(this.pen);
  }

  move(event) {
    if (!this.drawing) return;
    this.pen = this.at(event);
    this.extend(this.pen);
  }

  up() {
    this.drawing = false;
    this.onChange();
  }

  key(event) {
    const moves = { ArrowUp: [0, -NUDGE], ArrowDown: [0, NUDGE], ArrowLeft: [-NUDGE, 0], ArrowRight: [NUDGE, 0] };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const [right, down] = moves[event.key];
    const bound = (value, most) => Math.max(0, Math.min(most, value));
    if (event.shiftKey && !this.drawing) this.begin(this.pen);
    if (!event.shiftKey) this.drawing = false;
    this.pen = [bound(this.pen[0] + right, this.canvas.width), bound(this.pen[1] + down, this.canvas.height)];
    if (event.shiftKey) this.extend(this.pen);
    else this.showPen();
  }

  /** Show the position of the pen, for keyboard users. */
  showPen() {
    this.paint();
    this.context.strokeStyle = "#3aa0d0";
    this.context.lineWidth = 1;
    this.context.strokeRect(this.pen[0] - 2.5, this.pen[1] - 2.5, 5, 5);
  }
}
