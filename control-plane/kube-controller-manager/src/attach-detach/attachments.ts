import type { VolumeAttachment } from "@coracle/api/storage/v1";
import type { Instant } from "@coracle/base";
import type { Attachment } from "./plan.ts";

interface Known extends Attachment {
  /** Since when nobody has wanted it. */
  unwantedSince: Instant | undefined;
  /** Since when its driver has been waited for; undefined: it came, or nobody waits. */
  awaitedSince: Instant | undefined;
  /** Since when it is on its way out. */
  leavingSince: Instant | undefined;
  /** What went wrong last, as users were told. */
  problem: string | undefined;
}

/**
 * The attachments that this controller looks after: those it made, also before they are in the cache, and those that
 * were there when it started. Whatever else is there was made by somebody for a reason of their own.
 */
export class Attachments {
  readonly #known = new Map<string, Known>();
  readonly #byVolume = new Map<string, Set<Known>>();
  readonly #byNode = new Map<string, Set<Known>>();

  get(name: string): Known | undefined {
    return this.#known.get(name);
  }

  add(attachment: Attachment, awaitedSince: Instant | undefined): void {
    if (this.#known.has(attachment.name)) return;
    const known: Known = {
      ...attachment,
      unwantedSince: undefined,
      awaitedSince,
      leavingSince: undefined,
      problem: undefined,
    };
    this.#known.set(known.name, known);
    addTo(this.#byVolume, known.unique, known);
    addTo(this.#byNode, known.nodeName, known);
  }

  /** It is no more; answers with what it was. */
  remove(name: string): Readonly<Known> | undefined {
    const known = this.#known.get(name);
    if (known === undefined) return undefined;
    this.#known.delete(name);
    removeFrom(this.#byVolume, known.unique, known);
    removeFrom(this.#byNode, known.nodeName, known);
    return known;
  }

  all(): Iterable<Attachment> {
    return this.#known.values();
  }

  onNode(nodeName: string): readonly Known[] {
    return [...(this.#byNode.get(nodeName) ?? [])];
  }

  nodesWith(unique: string): readonly string[] {
    return [...(this.#byVolume.get(unique) ?? [])].map(({ nodeName }) => nodeName);
  }
}

function addTo(index: Map<string, Set<Known>>, key: string, known: Known): void {
  const found = index.get(key);
  if (found === undefined) index.set(key, new Set([known]));
  else found.add(known);
}

function removeFrom(index: Map<string, Set<Known>>, key: string, known: Known): void {
  const found = index.get(key);
  found?.delete(known);
  if (found?.size === 0) index.delete(key);
}

/** Why an attachment has not come; undefined: its driver is still at it. */
export function attachProblem(attachment: VolumeAttachment | undefined): string | undefined {
  if (attachment?.metadata.deletionTimestamp !== undefined) return "volume attachment is being deleted";
  return attachment?.status?.attachError?.message;
}
