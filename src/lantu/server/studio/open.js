// Opening pictures: chosen, dropped or pasted. Ours restore their prompt, seed and codes; others are converted to codes.

import { report, run } from "./job.js";
import { readBack, seenByModel } from "./pictures.js";
import { received } from "./follow.js";

const $ = (id) => document.getElementById(id);

export class Open {
  /** @param {{size: number[]}} info @param {(picture: object, ours: boolean) => Promise<void>} onOpened */
  constructor(info, onOpened) {
    Object.assign(this, { info, onOpened });
    $("upload").addEventListener("change", () => {
      if ($("upload").files.length) this.open($("upload").files[0]);
      $("upload").value = "";
    });
    document.addEventListener("paste", (event) => {
      const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
      if (file) this.open(file);
    });
    document.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      document.body.dataset.dropping = "true";
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) delete document.body.dataset.dropping;
    });
    document.addEventListener("drop", (event) => {
      delete document.body.dataset.dropping;
      const [file] = event.dataTransfer.files;
      if (!file) return;
      event.preventDefault();
      this.open(file);
    });
  }

  open(file) {
    return run("opening", async (signal) => {
      // Only PNGs have a record. Others may be photos, which are scaled here: a server takes none of many megapixels.
      const told = file.type === "image/png" ? await readBack(file, signal) : null;
      const ours = told !== null;
      const picture = ours ? { ...told, png: file, kind: "opened" } : await this.read(file, signal);
      await this.onOpened(picture, ours);
      if (ours) report("restored");
      else report("tokenized", { n: picture.codes.flat().length });
    });
  }

  async read(file, signal) {
    const { told, source } = await seenByModel(file, this.info.size, signal);
    return { ...received(told), prompt: "", source, kind: "read" };
  }
}
