// Pictures and the chat, stored in the browser's own database. Nothing leaves the browser.

const PICTURES = "pictures";
const NOTES = "notes";
const MOST = 500; // pictures; older ones are deleted
let opened = null;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("lantu", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(PICTURES, { keyPath: "id", autoIncrement: true });
      request.result.createObjectStore(NOTES);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

/** Run a transaction; resolves to the result of `act`'s request once it is written. */
async function within(store, mode, act) {
  const base = await database();
  return new Promise((resolve, reject) => {
    const transaction = base.transaction(store, mode);
    const request = act(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

/** Store a picture and return its id. */
export async function keepPicture(picture) {
  const id = await within(PICTURES, "readwrite", (store) => store.add({ ...picture, created: Date.now() }));
  const ids = await within(PICTURES, "readonly", (store) => store.getAllKeys());
  for (const old of ids.slice(0, -MOST)) await forgetPicture(old);
  return id;
}

/** All pictures, the newest first. */
export async function pictures() {
  return (await within(PICTURES, "readonly", (store) => store.getAll())).reverse();
}

export function forgetPicture(id) {
  return within(PICTURES, "readwrite", (store) => store.delete(id));
}

export function forgetPictures() {
  return within(PICTURES, "readwrite", (store) => store.clear());
}

export function keepNote(name, value) {
  return within(NOTES, "readwrite", (store) => store.put(value, name));
}

export function note(name) {
  return within(NOTES, "readonly", (store) => store.get(name));
}
