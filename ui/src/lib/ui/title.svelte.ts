// The title of the browser's tab: how many problems there are, the view, and the program.

class Titles {
  #view = $state("");
  #problems = $state(0);

  set(view: string): void {
    this.#view = view;
    this.#write();
  }

  count(problems: number): void {
    this.#problems = problems;
    this.#write();
  }

  #write(): void {
    const parts = [this.#view, "Qyvo"].filter(Boolean).join(" · ");
    document.title = this.#problems > 0 ? `(${this.#problems}) ${parts}` : parts;
  }
}

export const titles = new Titles();
