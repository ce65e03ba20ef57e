// A sheet: a grid of cells over a canvas. A cell is empty, then inked with its code, then transparent over the picture.

const SCALE = 4; // canvas pixels to a pixel of the picture: scaled up once and smoothly, whatever the screen

/** Whole numbers that are spread, so that neighbouring codes look different: percent of ink, 6 to 26. */
function tint(code) {
  return 6 + ((Math.imul(code + 1, 2654435761) >>> 0) % 21);
}

export class Sheet {
  /** @param {number} patch pixels of the picture to a side of a cell. */
  constructor(patch) {
    this.patch = patch;
    this.codes = [];
    this.cells = [];
    this.image = null;
    this.pixelated = false;
    this.canvas = document.createElement("canvas");
    this.canvas.ariaHidden = "true";
    this.grid = document.createElement("div");
    this.grid.className = "cells";
    this.grid.ariaHidden = "true";
    this.element = document.createElement("div");
    this.element.className = "sheet";
    this.element.append(this.canvas, this.grid);
  }

  get rows() {
    return this.codes.length;
  }

  get columns() {
    return this.codes[0].length;
  }

  /** Show an empty sheet of rows × columns cells. */
  open(rows, columns) {
    this.image = null;
    this.codes = Array.from({ length: rows }, () => Array(columns).fill(-1));
    this.canvas.width = columns * this.patch * SCALE;
    this.canvas.height = rows * this.patch * SCALE;
    this.element.style.setProperty("--rows", rows);
    this.element.style.setProperty("--columns", columns);
    this.element.style.aspectRatio = `${columns} / ${rows}`;
    this.cells = this.codes.map((row) => row.map(newCell));
    this.grid.replaceChildren(...this.cells.map(newRow));
    delete this.element.dataset.done;
  }

  /** Show a finished picture, also in the cells of codes that it was drawn without (-1). */
  fill(codes, image) {
    if (this.rows !== codes.length || this.columns !== codes[0].length) this.open(codes.length, codes[0].length);
    this.codes = codes.map((row) => [...row]);
    this.show(image);
    for (const cell of this.cells.flat().filter((_, place) => this.codes.flat()[place] < 0)) {
      cell.textContent = "";
      cell.dataset.state = "shown";
    }
    this.element.dataset.done = "true";
  }

  /** Clear cells that will be drawn again. */
  empty(places) {
    for (const [row, column] of places) {
      this.codes[row][column] = -1;
      this.cells[row][column].dataset.state = "open";
    }
    delete this.element.dataset.done;
  }

  /** Ink the cells with new codes, one after another. */
  async ink(codes, pause) {
    // In a chat the model chooses the size of its pictures.
    if (this.rows !== codes.length || this.columns !== codes[0].length) this.open(codes.length, codes[0].length);
    for (const [row, line] of codes.entries()) {
      for (const [column, code] of line.entries()) {
        const cell = this.cells[row][column];
        if (code < 0 || (cell.dataset.state !== "open" && this.codes[row][column] === code)) continue;
        this.codes[row][column] = code;
        write(cell, code);
        cell.dataset.state = "inked";
        await pause();
      }
    }
  }

  /** Show a picture through all inked cells; `known` are the codes that it was rendered from. */
  show(image, known = this.codes) {
    this.image = image;
    this.paint();
    for (const [row, line] of this.cells.entries()) {
      for (const [column, cell] of line.entries()) {
        if (known[row][column] < 0) continue;
        write(cell, this.codes[row][column]);
        cell.dataset.state = "shown";
      }
    }
  }

  /** @param {{image: CanvasImageSource, share: number} | null} before another picture on the left share of the sheet. */
  paint(before = null) {
    const context = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    context.imageSmoothingEnabled = !this.pixelated;
    context.imageSmoothingQuality = "high";
    context.clearRect(0, 0, width, height);
    if (this.image) context.drawImage(this.image, 0, 0, width, height);
    if (!before || before.share <= 0) return;
    const edge = Math.round(before.share * width);
    context.save();
    context.beginPath();
    context.rect(0, 0, edge, height);
    context.clip();
    context.drawImage(before.image, 0, 0, width, height);
    context.restore();
    if (before.share >= 1) return;
    context.fillStyle = getComputedStyle(this.grid).color;
    context.fillRect(edge - 1, 0, 2, height);
  }
}

function newCell() {
  const cell = document.createElement("span");
  cell.className = "cell";
  cell.dataset.state = "open";
  return cell;
}

function newRow(cells) {
  const row = document.createElement("div");
  row.className = "row";
  row.append(...cells);
  return row;
}

function write(cell, code) {
  cell.textContent = code;
  cell.style.setProperty("--tint", `${tint(code)}%`);
}
