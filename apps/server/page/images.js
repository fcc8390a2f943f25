// Images that the next question has: chosen, pasted or dropped.

import { byId, element } from "./dom.js";

const dataUrl = (file) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });

const isImage = ({ type }) => type.startsWith("image/");
const holdsFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");

export class Images {
  #list = byId("images"); // shows them, each with a button that takes it away
  #images = []; // {url, name}

  // `areTaken` says whether the model takes images; `refuse` tells that it doesn't.
  constructor(areTaken, refuse) {
    this.areTaken = areTaken;
    this.refuse = refuse;
    byId("attach").addEventListener("click", () => byId("files").click());
    byId("files").addEventListener("change", ({ target }) => {
      this.#add(target.files);
      target.value = "";
    });
    byId("question").addEventListener("paste", (event) => {
      if (this.#add(event.clipboardData.files)) event.preventDefault();
    });
    this.#takeDrops();
  }

  get urls() {
    return this.#images.map(({ url }) => url);
  }

  // Gives them, and has none after.
  take() {
    const { urls } = this;
    this.#set([]);
    return urls;
  }

  // Puts back what was taken.
  restore(urls) {
    this.#set([...urls.map((url) => ({ url, name: "image" })), ...this.#images]);
  }

  // Anywhere: a file that misses a small target would take the browser away from the page.
  #takeDrops() {
    document.addEventListener("dragover", (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      document.body.classList.toggle("drops", this.areTaken());
    });
    document.addEventListener("dragleave", ({ relatedTarget }) => {
      if (relatedTarget === null) document.body.classList.remove("drops");
    });
    document.addEventListener("drop", (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      document.body.classList.remove("drops");
      this.#add(event.dataTransfer.files);
    });
  }

  // False: none of the files is an image.
  #add(list) {
    const files = [...list].filter(isImage);
    if (files.length === 0) return false;
    if (this.areTaken()) this.#read(files);
    else this.refuse();
    return true;
  }

  async #read(files) {
    const reads = files.map(async (file) => ({ url: await dataUrl(file), name: file.name }));
    const images = await Promise.all(reads); // meanwhile others may have come
    this.#set([...this.#images, ...images]);
    byId("question").focus();
  }

  #set(images) {
    this.#images = images;
    this.#list.replaceChildren(...images.map((image) => this.#item(image)));
  }

  #item(image) {
    const remove = element("button", { type: "button", title: "Remove" }, "×");
    remove.setAttribute("aria-label", `Remove ${image.name}`);
    remove.addEventListener("click", () => {
      const at = this.#images.indexOf(image);
      this.#set(this.#images.filter((other) => other !== image));
      (this.#list.querySelectorAll("button")[at] ?? byId("question")).focus();
    });
    return element("li", {}, element("img", { src: image.url, alt: image.name }), remove);
  }
}
