// The history: newest first; a click opens a picture; deleting all asks for confirmation.

import { thumbnail } from "./gallery.js";
import { forgetPicture, forgetPictures, keepPicture, pictures } from "./history.js";
import { label, say, tell } from "./words.js";

const $ = (id) => document.getElementById(id);
const SURE_MS = 4000; // how long the confirmation is shown

export class Shelf {
  /** @param {(picture: object) => void} onOpen */
  constructor(onOpen) {
    this.onOpen = onOpen;
    $("forget-all").addEventListener("click", () => this.forgetAll());
  }

  async load() {
    try {
      for (const picture of (await pictures()).reverse()) this.put(picture);
    } catch (problem) {
      console.warn("nothing is kept:", problem); // private windows may have no database
    }
  }

  /** Store a picture and show it in the history. */
  async keep(picture) {
    try {
      picture.id = await keepPicture(picture);
    } catch (problem) {
      console.warn("nothing is kept:", problem);
    }
    this.put(picture);
  }

  async forget(picture) {
    if (picture.id !== undefined) await forgetPicture(picture.id).catch(() => {});
    for (const item of $("earlier-list").children) if (item.picture === picture) item.remove();
    this.count();
  }

  async forgetAll() {
    const button = $("forget-all");
    if (!button.dataset.sure) {
      button.dataset.sure = "true";
      tell(button, "forget_sure", { n: $("earlier-list").children.length });
      setTimeout(() => this.unsure(), SURE_MS);
      return;
    }
    this.unsure();
    await forgetPictures().catch(() => {});
    $("earlier-list").replaceChildren();
    this.count();
  }

  unsure() {
    delete $("forget-all").dataset.sure;
    tell($("forget-all"), "forget_all");
  }

  put(picture) {
    const item = document.createElement("li");
    item.picture = picture;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "thumb";
    const prompt = picture.title || picture.prompt || (() => say("uploaded"));
    label(button, "earlier_picture", { prompt, seed: picture.seed });
    tell(button, "earlier_title", { prompt }, "sayTitle");
    button.append(thumbnail(picture.png));
    button.addEventListener("click", () => this.onOpen(picture));
    item.append(button);
    $("earlier-list").prepend(item);
    this.count();
  }

  count() {
    $("earlier").hidden = !$("earlier-list").children.length;
  }
}
