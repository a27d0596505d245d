/** A list of what is wrong with an object, each with its field: the causes of an `Invalid` answer. */

import type { Cause } from "../api/status.js";

export class Problems {
  readonly causes: Cause[] = [];

  required(field: string, why = ""): void {
    this.#add("FieldValueRequired", field, `Required value${why && `: ${why}`}`);
  }

  invalid(field: string, value: unknown, why: string): void {
    this.#add("FieldValueInvalid", field, `Invalid value: ${show(value)}: ${why}`);
  }

  unsupported(field: string, value: unknown, supported: string[]): void {
    const list = supported.map((entry) => JSON.stringify(entry)).join(", ");
    this.#add("FieldValueNotSupported", field, `Unsupported value: ${show(value)}: supported values: ${list}`);
  }

  duplicate(field: string, value: unknown): void {
    this.#add("FieldValueDuplicate", field, `Duplicate value: ${show(value)}`);
  }

  notFound(field: string, value: unknown): void {
    this.#add("FieldValueNotFound", field, `Not found: ${show(value)}`);
  }

  forbidden(field: string, why: string): void {
    this.#add("FieldValueForbidden", field, `Forbidden: ${why}`);
  }

  tooLong(field: string, bytes: number): void {
    this.#add("FieldValueTooLong", field, `Too long: may not be more than ${bytes} bytes`);
  }

  #add(reason: string, field: string, message: string): void {
    this.causes.push({ reason, message, field });
  }
}

const show = (value: unknown): string => (value === undefined ? '""' : JSON.stringify(value));
