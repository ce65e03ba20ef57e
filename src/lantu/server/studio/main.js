// Creates the components of the page and connects them.

import { info as askInfo, onKeyNeeded } from "./api.js";
import { Board } from "./board.js";
import { Settings } from "./settings.js";
import { Draw } from "./draw.js";
import { Gallery } from "./gallery.js";
import { complain, leaveLarge, report, run, stop } from "./job.js";
import { Look } from "./look.js";
import { Open } from "./open.js";
import { Shelf } from "./shelf.js";
import { Stage } from "./stage.js";
import { askKey } from "./key.js";
import { Talk } from "./talk.js";
import { sayAll, switchLanguage, tell } from "./words.js";
import { showView, startViews } from "./views.js";
import { startTheme } from "./themes.js";

const $ = (id) => document.getElementById(id);

sayAll();
startTheme();
startViews();
onKeyNeeded(askKey);
run("loading", async () => {
  build(await askInfo());
  report("");
});

function build(info) {
  const gallery = new Gallery(info.patch, openSibling);
  const shelf = new Shelf(openAlone);
  const settings = new Settings(info, () => draw.again());
  const board = new Board(info, () => draw.again());
  const stage = new Stage(info, (prompt) => {
    $("prompt").value = prompt;
    draw.draw();
  });
  const keep = (picture) => shelf.keep(picture);
  const look = new Look(info, { keep, settings: () => ({ ...settings.values, ...draw.seed, pace: $("pace").value }) });
  const draw = new Draw(info, { stage, look, gallery, settings, board, keep });
  const open = new Open(info, async (picture, ours) => {
    await keep(picture);
    if (ours) draw.ask(picture);
    await openAlone(picture);
  });
  const talk = new Talk(info, (file) => open.open(file));

  async function openAlone(picture) {
    gallery.pictures = [];
    stop();
    showView("draw");
    stage.show("one");
    await look.open(picture);
  }

  async function openSibling(picture) {
    leaveLarge();
    stage.show("one", true);
    const back = gallery.siblings(picture);
    back.addEventListener("click", backToAll);
    await look.open(picture);
    $("panel-title").focus();
  }

  function backToAll() {
    leaveLarge();
    stage.show("many");
    const at = Math.max(0, gallery.pictures.indexOf(look.timeline.versions[0]));
    $("variations").children[at].firstChild.focus();
  }

  $("stop").addEventListener("click", stop);
  $("talk-stop").addEventListener("click", stop);
  $("reuse").addEventListener("click", () => {
    draw.ask(look.picture);
    $("prompt").focus();
  });
  $("discuss").addEventListener("click", () => {
    showView("talk");
    talk.show(look.picture.png).then(() => $("talk-words").focus(), complain);
  });
  $("forget").addEventListener("click", async () => {
    leaveLarge();
    await shelf.forget(look.picture);
    look.timeline = null;
    stage.show("empty");
    $("prompt").focus();
  });
  $("language").addEventListener("click", () => {
    switchLanguage();
    stage.examples();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing || $("key-dialog").open || stop()) return;
    if (look.editor.marks.size) look.editor.unmark();
    else if (!$("siblings").hidden) backToAll();
  });

  $("talk-lacks").hidden = talk.talks;
  tell($("talk-lacks"), "talk_lacks", { model: info.name });
  for (const line of document.querySelectorAll("[data-lacks]")) {
    const ability = line.dataset.lacks;
    line.hidden = info.learnt.includes(ability);
    tell(line, `lacks_${ability}`, { model: info.name });
    for (const control of line.closest("form")?.elements ?? []) {
      if (control.type !== "button") control.disabled = !line.hidden || control.disabled;
    }
  }
  about(info);
  shelf.load();
  talk.load();
}

function about(info) {
  const millions = Object.values(info.parameters).reduce((sum, count) => sum + count, 0) / 1e6;
  const [rows, columns] = info.grid;
  const [width, height] = info.size;
  const facts = { name: info.name, parameters: millions.toFixed(1), license: info.license ?? "", rows, columns };
  tell($("about"), "about", { ...facts, width, height, codes: info.codebook_size });
}
