// Pictures as files: decoding, encoding, names, and the record in our own PNGs.

import { ApiError, post, postImage } from "./api.js";

/** Base64 of a PNG → a file. */
export function fromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: "image/png" });
}

/** A file → a drawable image. */
export async function imageOf(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new ApiError("not a picture", { status: 400, code: "not_a_picture" });
  }
}

export function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

export async function fromDataUrl(url) {
  const [head, body] = url.split(",", 2);
  if (head !== "data:image/png;base64") throw new ApiError("not a picture", { status: 400, code: "not_a_picture" });
  return fromBase64(body);
}

/** A PNG of that size, scaled and cropped as the server does it, for comparison. */
export async function fitted(file, width, height) {
  const image = await imageOf(file);
  const scale = Math.max(width / image.width, height / image.height);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  const [across, down] = [image.width * scale, image.height * scale];
  context.drawImage(image, (width - across) / 2, (height - down) / 2, across, down);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** A PNG of that size: the file itself if it already is one, which keeps its record. */
export async function sized(file, width, height) {
  const image = await imageOf(file);
  const fits = file.type === "image/png" && image.width === width && image.height === height;
  return fits ? file : fitted(file, width, height);
}

const NO_RECORD = ["no_metadata", "invalid_image", "too_large"]; // answers that leave nothing but the pixels

/** The record of a PNG drawn by lantu, or null. */
export async function readBack(file, signal) {
  try {
    return await postImage("/v1/lantu/read", file, {}, signal);
  } catch (problem) {
    if (NO_RECORD.includes(problem.code)) return null;
    throw problem;
  }
}

/** Any picture → its codes, the picture rendered from them, and the original. */
export async function seenByModel(file, size, signal) {
  const source = await fitted(file, ...size);
  const { codes } = await postImage("/v1/lantu/tokenize", source, { fit: "true" }, signal);
  return { told: await post("/v1/lantu/render", { codes, seed: 0 }, signal), source };
}

export function fileName({ prompt, seed }) {
  const words = prompt.toLowerCase().replace(/[^\p{Letter}\p{Number}]+/gu, "-").replace(/^-+|-+$/g, "");
  return `${["lantu", words.slice(0, 40), seed].filter((part) => part !== "").join("-")}.png`;
}
