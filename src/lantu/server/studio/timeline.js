// The versions of a picture that is being edited: undo and redo.

export class Timeline {
  constructor(first) {
    this.versions = [first];
    this.at = 0;
  }

  get current() {
    return this.versions[this.at];
  }

  get before() {
    return this.versions[this.at - 1] ?? null;
  }

  get canUndo() {
    return this.at > 0;
  }

  get canRedo() {
    return this.at < this.versions.length - 1;
  }

  /** Add a version; undone versions are discarded. */
  push(version) {
    this.versions = [...this.versions.slice(0, this.at + 1), version];
    this.at += 1;
  }

  undo() {
    if (this.canUndo) this.at -= 1;
  }

  redo() {
    if (this.canRedo) this.at += 1;
  }
}
