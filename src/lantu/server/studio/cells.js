// Selecting cells by mouse, touch and keyboard. One cell is in the tab order; arrow keys move between cells.

import { label } from "./words.js";

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export class Cells {
  /**
   * @param {import("./sheet.js").Sheet} sheet
   * @param {(place: number[] | null) => void} onPoint called with the pointed cell, or null.
   * @param {(place: number[], first: boolean) => void} onStroke called for each painted cell.
   * @param {() => void} onStrokeEnd
   */
  constructor(sheet, { onPoint, onStroke, onStrokeEnd }) {
    Object.assign(this, { sheet, onPoint, onStroke, onStrokeEnd, focus: [0, 0], painting: false });
    const { grid } = sheet;
    grid.addEventListener("pointerover", (event) => this.over(event));
    grid.addEventListener("pointerleave", () => this.onPoint(this.focused ? this.focus : null));
    grid.addEventListener("pointerdown", (event) => this.down(event));
    grid.addEventListener("pointermove", (event) => this.move(event));
    grid.addEventListener("focusin", (event) => this.onPoint(placeOf(event.target)));
    grid.addEventListener("focusout", () => this.onPoint(null));
    grid.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, () => this.up());
  }

  get focused() {
    return this.sheet.grid.contains(document.activeElement);
  }

  /** Set roles and labels of the cells, after every change of the codes. */
  refresh(marked = () => false) {
    const { grid, cells, codes, rows, columns } = this.sheet;
    grid.ariaHidden = null;
    grid.setAttribute("role", "grid");
    grid.setAttribute("aria-multiselectable", "true");
    label(grid, "cells", { rows, columns });
    this.focus = [Math.min(this.focus[0], rows - 1), Math.min(this.focus[1], columns - 1)];
    for (const [row, line] of cells.entries()) {
      line[0].parentElement.setAttribute("role", "row");
      for (const [column, cell] of line.entries()) {
        Object.assign(cell.dataset, { row, column });
        cell.setAttribute("role", "gridcell");
        cell.setAttribute("aria-selected", String(marked(row, column)));
        cell.tabIndex = row === this.focus[0] && column === this.focus[1] ? 0 : -1;
        label(cell, "cell", { row: row + 1, column: column + 1, code: codes[row][column] });
      }
    }
  }

  over(event) {
    const place = placeOf(event.target);
    if (place) this.onPoint(place);
  }

  down(event) {
    const place = placeOf(event.target);
    if (!place || event.button) return;
    // Touch captures the first cell; release it, so that other cells get the events too.
    if (event.target.hasPointerCapture?.(event.pointerId)) event.target.releasePointerCapture(event.pointerId);
    event.preventDefault();
    this.goTo(place);
    this.painting = true;
    this.last = String(place);
    this.onStroke(place, true);
  }

  move(event) {
    if (!this.painting) return;
    const place = placeOf(document.elementFromPoint(event.clientX, event.clientY));
    if (!place || String(place) === this.last) return;
    this.last = String(place);
    this.onPoint(place);
    this.onStroke(place, false);
  }

  up() {
    if (!this.painting) return;
    this.painting = false;
    this.onStrokeEnd();
  }

  key(event) {
    const place = placeOf(event.target);
    if (!place || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      this.onStroke(place, true);
      this.onStrokeEnd();
    } else if (event.key in MOVES || event.key === "Home" || event.key === "End") {
      event.preventDefault();
      const [down, right] = MOVES[event.key] ?? [0, event.key === "Home" ? -Infinity : Infinity];
      const bound = (value, most) => Math.max(0, Math.min(most - 1, value));
      this.goTo([bound(place[0] + down, this.sheet.rows), bound(place[1] + right, this.sheet.columns)]);
      if (event.shiftKey) {
        this.onStroke(this.focus, false);
        this.onStrokeEnd();
      }
    }
  }

  goTo([row, column]) {
    const { cells } = this.sheet;
    cells[this.focus[0]][this.focus[1]].tabIndex = -1;
    this.focus = [row, column];
    cells[row][column].tabIndex = 0;
    cells[row][column].focus({ preventScroll: true });
  }
}

function placeOf(element) {
  return element?.dataset?.row === undefined ? null : [Number(element.dataset.row), Number(element.dataset.column)];
}
