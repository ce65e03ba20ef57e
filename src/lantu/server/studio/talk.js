// A chat in words and pictures. It is stored in the browser and sent with every message.

import { stream } from "./api.js";
import { keepNote, note } from "./history.js";
import { complain, reportDrawn, run } from "./job.js";
import { dataUrl, fromDataUrl, sized } from "./pictures.js";
import { label, tell } from "./words.js";

const $ = (id) => document.getElementById(id);
const NOTE = "talk";
const MOST_PICTURES = 16;

export class Talk {
  /** @param {object} info of the model. @param {(file: Blob) => void} onOpen called to open a picture in the studio. */
  constructor(info, onOpen) {
    Object.assign(this, { info, onOpen, turns: [], shown: [] });
    // A model without chat training draws what is written and describes pictures, one message at a time.
    this.talks = info.learnt.includes("talking");
    $("talk-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    $("talk-words").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      $("talk-form").requestSubmit();
    });
    $("talk-file").addEventListener("change", async () => {
      const [file] = $("talk-file").files;
      $("talk-file").value = "";
      if (file) await this.show(file).catch((problem) => complain(problem));
    });
    $("talk-clear").addEventListener("click", () => {
      this.turns = [];
      this.render();
      this.keep();
      $("talk-words").focus();
    });
  }

  async load() {
    this.turns = (await note(NOTE).catch(() => null)) ?? [];
    this.render();
  }

  /** Attach a picture to the next message. */
  async show(file) {
    this.shown.push(await dataUrl(await sized(file, ...this.info.size)));
    this.renderShown();
  }

  send() {
    const text = $("talk-words").value.trim();
    if (!text && !this.shown.length) return;
    // An answer that has not begun is stopped by the next message.
    this.turns = this.turns.filter((turn) => turn.role === "user" || !isEmpty(turn));
    this.turns.push({ role: "user", text, pictures: this.shown });
    this.shown = [];
    $("talk-words").value = "";
    this.renderShown();
    this.answer();
  }

  answer() {
    run("talking", async (signal) => {
      const asked = this.turns.at(-1);
      const reply = { role: "assistant", plan: "", text: "", pictures: [] };
      const said = this.talks ? lately(this.turns) : this.turns.slice(-1);
      const body = { model: this.info.name, messages: said.map(message), stream: true };
      let told = {};
      this.turns.push(reply);
      this.render();
      try {
        for await (const event of stream("/v1/chat/completions", body, signal)) {
          const delta = event.choices?.[0]?.delta ?? {};
          if (event.warnings) told = event;
          reply.plan += delta.reasoning_content ?? "";
          reply.text += delta.content ?? "";
          for (const { image_url } of delta.images ?? []) reply.pictures.push(image_url.url);
          this.renderLast();
        }
        reportDrawn("", {}, told);
      } catch (problem) {
        if (isEmpty(reply)) this.drop(reply);
        // The server reads the whole chat: a message that it refuses would block all later ones.
        if (problem.passing === false) this.takeBack(asked, reply);
        this.render();
        throw problem;
      } finally {
        this.keep();
      }
    });
  }

  drop(...turns) {
    this.turns = this.turns.filter((turn) => !turns.includes(turn));
  }

  /** Put a message back into the form, to be worded anew. */
  takeBack(message, reply) {
    this.drop(message, reply);
    this.shown = [...message.pictures, ...this.shown];
    $("talk-words").value = [message.text, $("talk-words").value].filter(Boolean).join("\n");
    this.renderShown();
  }

  keep() {
    keepNote(NOTE, this.turns).catch((problem) => console.warn("nothing is kept:", problem));
  }

  render() {
    $("talk-log").replaceChildren(...this.turns.map((turn) => this.turn(turn)));
    $("talk-empty").hidden = this.turns.length > 0;
    $("talk-clear").disabled = !this.turns.length;
    $("talk-log").lastElementChild?.scrollIntoView({ block: "nearest" });
  }

  renderLast() {
    if (!this.turns.length) return; // deleted while the answer came
    $("talk-log").lastElementChild.replaceWith(this.turn(this.turns.at(-1)));
    $("talk-log").lastElementChild.scrollIntoView({ block: "nearest" });
  }

  turn({ role, plan, text, pictures }) {
    const item = document.createElement("li");
    item.dataset.role = role;
    const who = document.createElement("p");
    who.className = "who";
    if (role === "user") tell(who, "talk_you");
    else who.textContent = this.info.name;
    const words = document.createElement("p");
    words.className = "words";
    words.textContent = text;
    const noted = document.createElement("p");
    noted.className = "plan";
    noted.textContent = plan?.split(";").map((step) => step.trim()).join(" → ");
    item.append(who, ...(plan ? [noted] : []), ...(text ? [words] : []), ...pictures.map((url) => this.picture(url, role)));
    return item;
  }

  picture(url, role) {
    const figure = document.createElement("figure");
    const image = document.createElement("img");
    image.src = url;
    tell(image, role === "user" ? "talk_picture_you" : "talk_picture_lantu", {}, "sayAlt");
    const open = document.createElement("button");
    open.type = "button";
    open.className = "quiet";
    tell(open, "talk_open");
    open.addEventListener("click", async () => this.onOpen(await fromDataUrl(url)));
    figure.append(image, open);
    return figure;
  }

  renderShown() {
    const items = this.shown.map((url, index) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "thumb";
      label(button, "talk_remove");
      const image = document.createElement("img");
      image.alt = "";
      image.src = url;
      button.append(image);
      button.addEventListener("click", () => {
        this.shown.splice(index, 1);
        this.renderShown();
        $("talk-words").focus();
      });
      item.append(button);
      return item;
    });
    $("talk-shown").replaceChildren(...items);
  }
}

function isEmpty({ text, pictures }) {
  return !text && !pictures.length;
}

/** The last turns, with no more pictures than the server accepts. */
function lately(turns) {
  let pictures = 0;
  const beyond = turns.findLastIndex((turn) => (pictures += turn.pictures.length) > MOST_PICTURES);
  return turns.slice(beyond + 1);
}

/** A turn as a message of OpenAI's API. */
function message({ role, text, pictures }) {
  const words = text ? [{ type: "text", text }] : [];
  return { role, content: [...words, ...pictures.map((url) => ({ type: "image_url", image_url: { url } }))] };
}
