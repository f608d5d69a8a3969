import { readFileSync } from "node:fs";
import type { Node, Pod } from "@coracle/api/core/v1";
import type { ExtenderConfiguration } from "../config/configuration.ts";
import { durationMs } from "../config/strict-decoding.ts";
import type { Candidate } from "../preemption/candidate.ts";

/** What an extender leaves of nodes that fit. */
export interface ExtenderVerdict {
  readonly fitting: readonly string[];
  /** Node → why not. */
  readonly failed: Readonly<Record<string, string>>;
  /** Those of `failed` that no preemption would help. */
  readonly unresolvable: ReadonlySet<string>;
}

/** Who would have to leave a node. */
export interface Victims {
  readonly uids: readonly string[];
  /** Of disruption budgets. */
  readonly violations: number;
}

interface PreemptAnswer {
  readonly NodeNameToMetaVictims?: Readonly<
    Record<
      string,
      {
        readonly Pods?: readonly { readonly UID?: string }[] | null;
        readonly NumPDBViolations?: number;
      } | null
    >
  > | null;
}

interface FilterAnswer {
  readonly Nodes?: { readonly items?: readonly Node[] | null } | null;
  readonly NodeNames?: readonly string[] | null;
  readonly FailedNodes?: Readonly<Record<string, string>> | null;
  readonly FailedAndUnresolvableNodes?: Readonly<Record<string, string>> | null;
  readonly Error?: string;
}

/** Extenders score from 0 to 10, plugins from 0 to 100. */
const SCALE = 10;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** One service that is asked about nodes over HTTP, as upstream asks it. */
export class HttpExtender {
  readonly #config: ExtenderConfiguration;

  constructor(config: ExtenderConfiguration) {
    this.#config = config;
  }

  get name(): string {
    return this.#config.urlPrefix;
  }

  /** Its failure fails nobody. */
  get isIgnorable(): boolean {
    return this.#config.ignorable === true;
  }

  get filters(): boolean {
    return (this.#config.filterVerb ?? "") !== "";
  }

  get scores(): boolean {
    return (this.#config.prioritizeVerb ?? "") !== "";
  }

  /** Wants to be asked who must leave. */
  get preempts(): boolean {
    return (this.#config.preemptVerb ?? "") !== "";
  }

  get binds(): boolean {
    return (this.#config.bindVerb ?? "") !== "";
  }

  /** Whether the pod needs what it manages; one that manages nothing in particular is asked about all. */
  isInterestedIn({ spec }: Pod): boolean {
    const { managedResources = [] } = this.#config;
    if (managedResources.length === 0) return true;
    return [...spec.containers, ...(spec.initContainers ?? [])].some(({ resources }) =>
      managedResources.some(
        ({ name }) => resources?.requests?.[name] !== undefined || resources?.limits?.[name] !== undefined,
      ),
    );
  }

  async filter(pod: Pod, nodes: readonly Node[]): Promise<ExtenderVerdict> {
    const answer = (await this.#ask(this.#config.filterVerb ?? "", this.#args(pod, nodes))) as FilterAnswer;
    if (answer.Error !== undefined && answer.Error !== "") throw new Error(answer.Error);
    const given = new Set(nodes.map(({ metadata }) => metadata.name ?? ""));
    const fitting =
      this.#config.nodeCacheCapable === true && answer.NodeNames != null
        ? answer.NodeNames
        : (answer.Nodes?.items ?? []).map(({ metadata }) => metadata.name ?? "");
    for (const name of fitting)
      if (!given.has(name))
        throw new Error(
          `extender "${this.name}" claims a filtered node "${name}" which is not found in the input node list`,
        );
    const unresolvable = answer.FailedAndUnresolvableNodes ?? {};
    return {
      fitting,
      failed: { ...answer.FailedNodes, ...unresolvable },
      unresolvable: new Set(Object.keys(unresolvable)),
    };
  }

  /** Node → what to add to its total. */
  async prioritize(pod: Pod, nodes: readonly Node[]): Promise<ReadonlyMap<string, number>> {
    const answer = await this.#ask(this.#config.prioritizeVerb ?? "", this.#args(pod, nodes));
    const scores = new Map<string, number>();
    if (!Array.isArray(answer)) throw new Error(`extender "${this.name}" answers no list of priorities`);
    for (const { Host, Score } of answer as readonly { readonly Host?: unknown; readonly Score?: unknown }[])
      if (typeof Host === "string" && typeof Score === "number" && Number.isFinite(Score))
        scores.set(Host, Score * (this.#config.weight ?? 1) * SCALE);
    return scores;
  }

  /** Node → who shall leave it, of the nodes that are left. */
  async preempt(pod: Pod, candidates: readonly Candidate[]): Promise<ReadonlyMap<string, Victims>> {
    const isNamed = this.#config.nodeCacheCapable === true;
    const victims = Object.fromEntries(
      candidates.map(({ nodeName, victims: pods, violations }) => [
        nodeName,
        { Pods: isNamed ? pods.map(({ metadata }) => ({ UID: metadata.uid })) : pods, NumPDBViolations: violations },
      ]),
    );
    const answer = (await this.#ask(this.#config.preemptVerb ?? "", {
      Pod: { apiVersion: "v1", kind: "Pod", ...pod },
      NodeNameToVictims: isNamed ? null : victims,
      NodeNameToMetaVictims: isNamed ? victims : null,
    })) as PreemptAnswer;
    return new Map(
      Object.entries(answer.NodeNameToMetaVictims ?? {}).map(([name, chosen]) => [
        name,
        { uids: (chosen?.Pods ?? []).map(({ UID = "" }) => UID), violations: chosen?.NumPDBViolations ?? 0 },
      ]),
    );
  }

  async bind(pod: Pod, nodeName: string): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    const body = { PodName: name, PodNamespace: namespace, PodUID: uid, Node: nodeName };
    const { Error: why = "" } = (await this.#ask(this.#config.bindVerb ?? "", body)) as { readonly Error?: string };
    if (why !== "") throw new Error(why);
  }

  #args(pod: Pod, nodes: readonly Node[]): object {
    const typed = { apiVersion: "v1", kind: "Pod", ...pod };
    return this.#config.nodeCacheCapable === true
      ? { Pod: typed, Nodes: null, NodeNames: nodes.map(({ metadata }) => metadata.name) }
      : { Pod: typed, Nodes: { metadata: {}, items: nodes }, NodeNames: null };
  }

  async #ask(verb: string, body: object): Promise<unknown> {
    const url = new URL(`${this.#config.urlPrefix.replace(/\/+$/, "")}/${verb}`);
    const isSecure = url.protocol === "https:";
    const { request } = isSecure ? await import("node:https") : await import("node:http");
    const text = JSON.stringify(body);
    const timeoutMs = durationMs(this.#config.httpTimeout ?? "5s");
    return await new Promise<unknown>((resolve, reject) => {
      const signal = AbortSignal.timeout(timeoutMs);
      const call = request(
        url,
        {
          method: "POST",
          signal,
          headers: { "content-type": "application/json", "content-length": Buffer.byteLength(text) },
          ...(isSecure ? this.#tls() : {}),
        },
        (response) => {
          const parts: Buffer[] = [];
          let size = 0;
          response.on("data", (part: Buffer) => {
            size += part.length;
            if (size > MAX_ANSWER_BYTES) call.destroy(new Error(`extender at URL ${url.href} answers too much`));
            else parts.push(part);
          });
          response.on("error", reject);
          response.on("end", () => {
            if (response.statusCode !== 200)
              return reject(new Error(`failed ${verb} with extender at URL ${url.href}, code ${response.statusCode}`));
            try {
              resolve(JSON.parse(Buffer.concat(parts).toString("utf8")) ?? {});
            } catch (error) {
              reject(error as Error);
            }
          });
        },
      );
      call.on("error", (error) =>
        reject(
          signal.aborted ? new Error(`extender at URL ${url.href}: no answer within ${timeoutMs / 1000}s`) : error,
        ),
      );
      call.end(text);
    });
  }

  #tls(): object {
    const { insecure, serverName, certFile, keyFile, caFile, certData, keyData, caData } = this.#config.tlsConfig ?? {};
    const read = (data: string | undefined, file: string | undefined): Buffer | undefined =>
      data !== undefined && data !== ""
        ? Buffer.from(data, "base64")
        : file === undefined || file === ""
          ? undefined
          : readFileSync(file);
    return {
      rejectUnauthorized: insecure !== true,
      servername: serverName,
      cert: read(certData, certFile),
      key: read(keyData, keyFile),
      ca: read(caData, caFile),
    };
  }
}
