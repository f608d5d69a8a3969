import type { Container, Pod, Secret } from "@coracle/api/core/v1";
import type { Image } from "@coracle/api/cri";
import type { Clock } from "@coracle/base";
import { criMessage, type CriClient } from "../cri/cri-client.ts";
import { Backoff } from "../pod/backoff.ts";
import { normalizeImage, pullCredentials } from "./credentials.ts";

/** Why an image is not there, as the container's waiting reason. */
export class ImageError extends Error {
  override readonly name = "ImageError";
  readonly reason: string;
  /** Until when trying again makes no sense. */
  readonly retryAt: number | undefined;
  constructor(reason: string, message: string, retryAt?: number) {
    super(message);
    this.reason = reason;
    this.retryAt = retryAt;
  }
}

export interface PresentImage {
  /** What a container is created from. */
  readonly ref: string;
  readonly uid: number | undefined;
  readonly username: string | undefined;
}

export interface ImageManagerDeps {
  readonly cri: CriClient;
  readonly clock: Clock;
  /** One pull after another instead of side by side. */
  readonly isSerial: boolean;
  readonly pullTimeoutMs: number;
}

export type TellPull = (type: "Normal" | "Warning", reason: string, message: string) => void;

/** Makes sure that a container's image is there before it is created. */
export interface ImageManager {
  ensure(pod: Pod, container: Container, secrets: readonly Secret[], tell: TellPull): Promise<PresentImage>;
  forget(uid: string): void;
}

const INITIAL_MS = 10_000;
const MAX_MS = 300_000;
/** So long a failed pull is told as such; then that it is waited for the next one. */
const SHOW_BACKOFF_MS = 1000;

const presentImage = (image: Image): PresentImage => ({
  ref: image.id ?? "",
  uid: image.uid?.value ?? (image.username === undefined || image.username === "" ? 0 : undefined),
  username: image.username,
});

export function createImageManager(deps: ImageManagerDeps): ImageManager {
  const { cri, clock } = deps;
  const backoff = new Backoff({ initialMs: INITIAL_MS, maxMs: MAX_MS });
  const failedAt = new Map<string, { readonly at: number; readonly message: string }>();
  const pulling = new Map<string, Promise<string>>();
  let queue: Promise<unknown> = Promise.resolve();

  async function find(image: string): Promise<Image | undefined> {
    return (await cri.call("ImageStatus", { image: { image } })).image;
  }

  async function pull(pod: Pod, name: string, secrets: readonly Secret[]): Promise<string> {
    const auths = pullCredentials(name, secrets);
    const sandboxConfig = {
      metadata: { name: pod.metadata.name, namespace: pod.metadata.namespace, uid: pod.metadata.uid, attempt: 0 },
    };
    let failure: unknown;
    for (const auth of auths.length === 0 ? [undefined] : auths) {
      try {
        const request = { image: { image: name }, ...(auth === undefined ? {} : { auth }), sandboxConfig };
        return (await cri.call("PullImage", request, { timeoutMs: deps.pullTimeoutMs })).imageRef ?? name;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** Two containers that wait for one image with the same credentials share one pull. */
  function sharedPull(pod: Pod, name: string, secrets: readonly Secret[]): Promise<string> {
    const key = `${name} ${secrets.map((secret) => secret.metadata.uid ?? "").join(",")}`;
    let running = pulling.get(key);
    if (running === undefined) {
      running = deps.isSerial ? queue.then(async () => pull(pod, name, secrets)) : pull(pod, name, secrets);
      queue = running.catch(() => undefined);
      pulling.set(key, running);
      void running.catch(() => undefined).finally(() => pulling.delete(key));
    }
    return running;
  }

  return {
    async ensure(pod, container, secrets, tell) {
      const image = container.image ?? "";
      let name: string;
      try {
        name = normalizeImage(image);
      } catch (error) {
        const message = `Failed to apply default image tag "${image}": couldn't parse image name "${image}": ${(error as Error).message}`;
        tell("Warning", "InspectFailed", message);
        throw new ImageError("InvalidImageName", message);
      }
      const policy = container.imagePullPolicy ?? (name.endsWith(":latest") ? "Always" : "IfNotPresent");
      const present = await find(name);
      if (present !== undefined && policy !== "Always") {
        const hint = "and can be accessed by the pod";
        tell("Normal", "Pulled", `Container image "${image}" already present on machine ${hint}`);
        return presentImage(present);
      }
      if (policy === "Never") {
        const message = `Container image "${image}" is not present with pull policy of Never`;
        tell("Warning", "ErrImageNeverPull", message);
        throw new ImageError("ErrImageNeverPull", message);
      }
      const key = `${pod.metadata.uid ?? ""}/${name}`;
      const last = failedAt.get(key);
      if (last !== undefined) {
        const remaining = backoff.remainingMs(key, last.at, clock.now());
        if (remaining > 0) {
          const message = `Back-off pulling image "${image}"`;
          tell("Normal", "BackOff", message);
          throw new ImageError("ImagePullBackOff", `${message}: ${last.message}`, clock.now() + remaining);
        }
      }
      tell("Normal", "Pulling", `Pulling image "${image}"`);
      const started = clock.monotonicMs();
      try {
        const ref = await sharedPull(pod, name, secrets);
        failedAt.delete(key);
        backoff.reset(key);
        const pulled = (await find(ref)) ?? (await find(name));
        const took = `${((clock.monotonicMs() - started) / 1000).toFixed(3)}s`.replace(
          /^0\.(\d+)s$/,
          (_, ms) => `${Number(ms)}ms`,
        );
        const size = pulled?.size ?? 0;
        tell(
          "Normal",
          "Pulled",
          `Successfully pulled image "${image}" in ${took} (${took} including waiting). Image size: ${size} bytes.`,
        );
        return pulled === undefined ? { ref, uid: undefined, username: undefined } : presentImage(pulled);
      } catch (error) {
        const now = clock.now();
        const message = `failed to pull image "${image}": ${criMessage(error)}`;
        // Counted from when this pull ended; the first failure waits the shortest time.
        backoff.next(key, now, now);
        failedAt.set(key, { at: now, message: `ErrImagePull: ${criMessage(error)}` });
        tell("Warning", "Failed", `Failed to pull image "${image}": ${criMessage(error)}`);
        throw new ImageError("ErrImagePull", message, now + SHOW_BACKOFF_MS);
      }
    },
    forget(uid) {
      backoff.forget(`${uid}/`);
      for (const key of failedAt.keys()) if (key.startsWith(`${uid}/`)) failedAt.delete(key);
    },
  };
}
