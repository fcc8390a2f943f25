// The dialog of sampling settings and the system prompt. What is left empty is the model's choice.

import { byId } from "./dom.js";

const STORE = "keel.settings";

export class Settings {
  #dialog = byId("settings");
  #form = this.#dialog.querySelector("form");
  #fields = [...this.#form.querySelectorAll("[name]")];
  #opener = byId("open-settings");

  constructor() {
    const kept = JSON.parse(localStorage.getItem(STORE) ?? "{}");
    for (const field of this.#fields) field.value = kept[field.name] ?? "";
    this.#mark();
    this.#opener.addEventListener("click", () => this.#dialog.showModal());
    byId("reset-settings").addEventListener("click", () => this.#reset());
    this.#dialog.addEventListener("close", () => {
      localStorage.setItem(STORE, JSON.stringify(this.values()));
      this.#mark();
    });
  }

  // Fields of a call: only what is set, and set right.
  values() {
    const set = this.#fields.filter(({ value, validity }) => value.trim() && validity.valid);
    return Object.fromEntries(
      set.map((field) => [field.name, field.type === "number" ? Number(field.value) : field.value]),
    );
  }

  #reset() {
    for (const field of this.#fields) field.value = "";
    this.#fields[0].focus();
  }

  #mark() {
    const isSet = Object.keys(this.values()).length > 0;
    this.#opener.classList.toggle("marked", isSet);
    this.#opener.title = isSet ? "Settings, some are set" : "Settings";
  }
}
