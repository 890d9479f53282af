// Asks a shop. Which variables a document takes, and what it answers, follow from the generated document itself.
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { print } from "graphql";

/** A refusal by a rule of the shop, as every mutation answers it. */
export interface UserError {
  code: string;
  message: string;
  field: readonly string[] | null;
}

interface Answer<Data> {
  data?: Data | null;
  errors?: readonly { message: string; extensions?: { code?: string } }[];
}

/** Something that the shop did not do. */
export class Refused extends Error {
  constructor(readonly codes: readonly string[]) {
    super(codes.join(", "));
  }
}

export class Shop {
  /** Up to where the log was written by what was asked: later queries see at least this. */
  private position = 0;

  constructor(
    private readonly url: string,
    private readonly authorization?: string,
  ) {}

  /** Carries out an operation. Throws `Refused` when it could not be run. */
  async ask<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables): Promise<Data> {
    const response = await fetch(`${this.url}/graphql`, {
      method: "POST",
      headers: {
        accept: "application/graphql-response+json",
        "content-type": "application/json",
        "daybook-min-position": String(this.position),
        ...(this.authorization === undefined ? {} : { authorization: this.authorization }),
      },
      body: JSON.stringify({ query: print(document), variables }),
    });
    const answer = (await response.json()) as Answer<Data>;
    if (answer.errors !== undefined || answer.data === undefined || answer.data === null) {
      throw new Refused((answer.errors ?? []).map((error) => error.extensions?.code ?? error.message));
    }
    return answer.data;
  }

  /** What a mutation did. Throws `Refused` when a rule forbids it. */
  done<Payload extends { position: number; userErrors: readonly UserError[] }>(payload: Payload): Payload {
    if (payload.userErrors.length > 0) throw new Refused(payload.userErrors.map((error) => error.code));
    this.position = Math.max(this.position, payload.position);
    return payload;
  }
}

/** A value that the schema allows to be null, where this shop has one. */
export function present<Value>(value: Value | null | undefined, what: string): Value {
  if (value === null || value === undefined) throw new Error(`there is no ${what}`);
  return value;
}
