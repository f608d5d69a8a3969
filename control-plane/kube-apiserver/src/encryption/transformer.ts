/** What was read, and by which key it was stored. */
export interface OpenedValue {
  readonly value: Buffer;
  /** Which provider and key it was stored with. Equal strings: equal keys. */
  readonly sealedBy: string;
}

/** Turns objects into what lies in the store, and back. The key in the store is bound to the value where the cipher can. */
export interface Transformer {
  /** What `seal` would note now; a value with another note is to be written anew. */
  readonly sealsAs: string;
  /** Throws, never quoting the value, when it cannot be read. A promise only where somebody else has to be asked. */
  open(data: Buffer, key: string): OpenedValue | Promise<OpenedValue>;
  seal(value: Buffer, key: string): Buffer;
}

/** A transformer, and how values of it begin. */
export interface PrefixedTransformer {
  readonly prefix: Buffer;
  readonly transformer: Transformer;
}

/** One message of several: as upstream puts failures together. */
export function joinMessages(messages: readonly string[]): string {
  const unique = [...new Set(messages)];
  return unique.length === 1 ? unique[0]! : `[${unique.join(", ")}]`;
}

/** Writes with the first; reads with whichever fits. `unknown`: what is said of values that none fits. */
export function byPrefix(transformers: readonly PrefixedTransformer[], unknown: string): Transformer {
  const first = transformers[0]!;

  function failure(messages: readonly string[]): Error {
    return new Error(messages.length === 0 ? unknown : joinMessages(messages));
  }

  /** From the first that fits and works. */
  function openFrom(data: Buffer, key: string, from: number, messages: string[]): OpenedValue | Promise<OpenedValue> {
    for (let i = from; i < transformers.length; i++) {
      const { prefix, transformer } = transformers[i]!;
      if (!data.subarray(0, prefix.length).equals(prefix)) continue;
      // Data that is not to be encrypted has no prefix: that it looks encrypted is no failure yet.
      const note = (error: unknown): void => {
        if (prefix.length > 0) messages.push((error as Error).message);
      };
      try {
        const opened = transformer.open(data.subarray(prefix.length), key);
        if (!(opened instanceof Promise)) return opened;
        return opened.catch((error: unknown) => {
          note(error);
          return openFrom(data, key, i + 1, messages);
        });
      } catch (error) {
        note(error);
      }
    }
    throw failure(messages);
  }

  return {
    get sealsAs() {
      return first.transformer.sealsAs;
    },
    open: (data, key) => openFrom(data, key, 0, []),
    seal: (value, key) => Buffer.concat([first.prefix, first.transformer.seal(value, key)]),
  };
}

const ENCRYPTED = Buffer.from("k8s:enc:");

/** Stores objects as they are; refuses what is encrypted. */
export const identity: Transformer = {
  sealsAs: "identity",
  open(data) {
    if (data.subarray(0, ENCRYPTED.length).equals(ENCRYPTED)) {
      throw new Error("identity transformer tried to read encrypted data");
    }
    return { value: data, sealedBy: "identity" };
  },
  seal: (value) => value,
};
