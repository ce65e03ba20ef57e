// Several pictures of one prompt, side by side; while one is large, the others are in a row below it.

import { Sheet } from "./sheet.js";
import { label, tell } from "./words.js";

const $ = (id) => document.getElementById(id);

export class Gallery {
  /** @param {(picture: object) => void} onOpen called when one is chosen. */
  constructor(patch, onOpen) {
    Object.assign(this, { patch, onOpen, pictures: [] });
  }

  /** Show empty sheets, one for each seed. */
  prepare(seeds, rows, columns) {
    this.pictures = seeds.map(() => null);
    const sheets = seeds.map(() => new Sheet(this.patch));
    const items = sheets.map((sheet, index) => {
      sheet.open(rows, columns);
      const button = document.createElement("button");
      button.type = "button";
      button.disabled = true;
      button.className = "variation";
      label(button, "variation_waiting", { n: index + 1, total: seeds.length });
      const plate = document.createElement("span");
      plate.className = "plate";
      const seed = document.createElement("span");
      tell(seed, "plate_seed", { seed: seeds[index] });
      plate.append(seed);
      button.append(sheet.element, plate);
      button.addEventListener("click", () => this.onOpen(this.pictures[index]));
      return wrapped(button);
    });
    $("variations").replaceChildren(...items);
    $("variations").dataset.count = seeds.length;
    return sheets;
  }

  /** Show a finished picture. */
  done(index, picture) {
    this.pictures[index] = picture;
    const button = $("variations").children[index].firstChild;
    const time = document.createElement("span");
    tell(time, "plate_ms", { ms: Math.round(picture.timings.total) });
    button.querySelector(".plate").append(time);
    button.disabled = false;
    label(button, "variation", { n: index + 1, total: this.pictures.length, seed: picture.seed });
  }

  /** The row below a large picture: a button back to all, then each picture. */
  siblings(open) {
    const there = this.pictures.filter(Boolean);
    const back = document.createElement("button");
    back.type = "button";
    back.id = "back";
    tell(back, "back", { n: there.length });
    label(back, "back_label", { n: there.length });
    $("siblings").replaceChildren(wrapped(back), ...there.map((picture) => wrapped(this.small(picture, open))));
    return back;
  }

  small(picture, open) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "thumb";
    if (picture === open) button.setAttribute("aria-current", "true");
    const [n, total] = [this.pictures.indexOf(picture) + 1, this.pictures.length];
    label(button, "variation", { n, total, seed: picture.seed });
    button.append(thumbnail(picture.png));
    button.addEventListener("click", () => this.onOpen(picture));
    return button;
  }
}

/** A thumbnail of a file; the element around it has the label. */
export function thumbnail(file) {
  const image = document.createElement("img");
  image.alt = "";
  image.src = URL.createObjectURL(file);
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  return image;
}

function wrapped(element) {
  const item = document.createElement("li");
  item.append(element);
  return item;
}
