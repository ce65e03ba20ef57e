// The dialog that asks for an API key.

const $ = (id) => document.getElementById(id);
let asking = null;

/** Ask once for all waiting requests; resolves to the key or null. @param {boolean} wrong the last key was rejected. */
export function askKey(wrong) {
  asking ??= new Promise((resolve) => {
    const dialog = $("key-dialog");
    $("key-wrong").hidden = !wrong;
    $("key").value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? $("key").value.trim() : null), {
      once: true,
    });
    dialog.showModal();
  }).finally(() => (asking = null));
  return asking;
}
