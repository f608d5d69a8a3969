import type { ServiceCIDR } from "@coracle/api/networking/v1";
import { equalJson, isAlreadyExists } from "@coracle/apimachinery";
import type { Clock } from "@coracle/base";
import { fillNewMeta, formatTime } from "../registry/object-meta.ts";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";
import type { ReportProblem } from "./problem-events.ts";

const NAME = "kubernetes";

/**
 * Keeps the ServiceCIDR of the blocks that the server was given: made when it is not there, with a second block when
 * one was added. Whoever gave it others than we have is told, once.
 */
export class DefaultBlock {
  readonly #blocks: ObjectStorage;
  readonly #cidrs: readonly string[];
  readonly #clock: Clock;
  readonly #report: ReportProblem;
  #told: string | undefined;

  constructor(options: {
    readonly blocks: ObjectStorage;
    readonly cidrs: readonly string[];
    readonly clock: Clock;
    readonly report: ReportProblem;
  }) {
    this.#blocks = options.blocks;
    this.#cidrs = options.cidrs;
    this.#clock = options.clock;
    this.#report = options.report;
  }

  /** Whether this change is one to look at. */
  static concerns(name: string): boolean {
    return name === NAME;
  }

  async sync(): Promise<void> {
    const stored = this.#blocks.get("", NAME);
    if (stored === undefined) return this.#create();
    const { spec, metadata, status } = stored.object as unknown as ServiceCIDR;
    const cidrs = spec?.cidrs ?? [];
    if (cidrs.length === 1 && this.#cidrs.length === 2 && cidrs[0] === this.#cidrs[0]) {
      await this.#blocks.replace(stored, { ...draftOf(stored.object), spec: { cidrs: [...this.#cidrs] } });
      return;
    }
    if (metadata.deletionTimestamp !== undefined) return;
    const ready = status?.conditions?.find(({ type }) => type === "Ready");
    if (!equalJson(cidrs, this.#cidrs)) {
      this.#tell(stored.object, "KubernetesDefaultServiceCIDRInconsistent", [
        `The default ServiceCIDR [${cidrs.join(" ")}] does not match the controller flag configurations`,
        `[${this.#cidrs.join(" ")}]`,
      ]);
    } else if (ready === undefined || ready.status === "Unknown") {
      const others = (status?.conditions ?? []).filter(({ type }) => type !== "Ready");
      const conditions = [...others.map((condition) => ({ ...condition })), this.#ready()];
      await this.#blocks.replace(stored, { ...draftOf(stored.object), status: { conditions } });
    } else if (ready.status === "False") {
      this.#tell(stored.object, ready.reason, ["Configuration matches, but", ready.message]);
    }
  }

  #tell(object: ApiObject, reason: string, words: readonly string[]): void {
    if (this.#told === reason) return;
    this.#told = reason;
    this.#report({ object, kind: "ServiceCIDR", reason, action: "", note: words.join(" ") });
  }

  #ready(): Record<string, string> {
    return {
      type: "Ready",
      status: "True",
      lastTransitionTime: formatTime(this.#clock.now()),
      reason: "",
      message: "Kubernetes default Service CIDR is ready",
    };
  }

  async #create(): Promise<void> {
    const draft: ApiDraft = {
      kind: "ServiceCIDR",
      apiVersion: "networking.k8s.io/v1",
      metadata: { name: NAME },
      spec: { cidrs: [...this.#cidrs] },
      status: { conditions: [this.#ready()] },
    };
    fillNewMeta(draft, this.#clock.now());
    try {
      await this.#blocks.create(draft);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }
}

const draftOf = (object: ApiObject): ApiDraft => structuredClone(object) as unknown as ApiDraft;
