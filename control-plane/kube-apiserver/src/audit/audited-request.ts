import { decodeKubernetes, isKubernetesProtobuf, LONGEST_RARE_YAML, parseYamlDocument } from "@coracle/api";
import type { Status } from "@coracle/api/meta/v1";
import { isObject } from "@coracle/apimachinery";
import type { Clock, Instant } from "@coracle/base";
import { gunzipSync } from "node:zlib";
import type { UserInfo } from "../authentication/user.ts";
import type { ApiDraft } from "../registry/resource-definition.ts";
import type { ApiRequest } from "../server/api-request.ts";
import type { Exchange, ResponseHeaders } from "../server/exchange.ts";
import { isLongRunning } from "../server/request-info.ts";
import { AuditedExchange, type ExchangeListener } from "./audited-exchange.ts";
import type { AuditEvent, AuditObjectReference, AuditUser, JsonText } from "./event.ts";
import { records, type AuditLevel, type AuditStage, type AuditVerdict } from "./policy.ts";
import { sourceIps } from "./source-ips.ts";

const MAX_USER_AGENT = 1024;
const WRITING = new Set(["create", "update"]);

/** Takes events. False, or a promise of it: one that had to be stored was not. */
export type AuditSink = (events: readonly AuditEvent[]) => boolean | Promise<boolean>;

/** `2026-11-23T05:00:00.000000Z` */
const microTime = (at: Instant): string => new Date(at).toISOString().replace("Z", "000Z");

const filled = (text: string | undefined): string | undefined => (text === "" ? undefined : text);

function auditUser({ name, uid, groups, extra }: UserInfo): AuditUser {
  return {
    username: name,
    uid: filled(uid),
    groups: groups.length === 0 ? undefined : groups,
    extra: extra === undefined || Object.keys(extra).length === 0 ? undefined : extra,
  };
}

/** A copy without what says who owns the fields: of an object, of a list's items, of a table's rows. */
function withoutManagedFields(value: unknown): unknown {
  if (!isObject(value)) return value;
  const out: Record<string, unknown> = { ...value };
  if (isObject(out["metadata"])) {
    const { managedFields: _managedFields, ...metadata } = out["metadata"];
    out["metadata"] = metadata;
  }
  if (Array.isArray(out["items"])) out["items"] = out["items"].map(withoutManagedFields);
  if (out["kind"] === "Table" && Array.isArray(out["rows"])) {
    out["rows"] = out["rows"].map((row: unknown) =>
      isObject(row) && "object" in row ? { ...row, object: withoutManagedFields(row["object"]) } : row,
    );
  }
  return out;
}

const QUOTED_VALUE = /(Invalid value: )"(?:[^"\\]|\\.)*"/g;

/** A member of a Status, whose texts lose the values that they quote. */
const withoutValues = (name: string, value: unknown): unknown =>
  name === "message" && typeof value === "string" ? value.replaceAll(QUOTED_VALUE, "$1(not recorded)") : value;

/** A query without the token that some put there; this server does not look for one. */
const withoutToken = (query: string): string =>
  query.includes("access_token") ? query.replaceAll(/(^|&)(access_token=)[^&]*/g, "$1$2-") : query;

/** Bytes as JSON, from whatever they came in; undefined when they are no object. */
async function readValue(bytes: Buffer, type: string): Promise<unknown> {
  if (bytes.length === 0) return undefined;
  if (isKubernetesProtobuf(bytes)) return decodeKubernetes(bytes);
  const text = bytes.toString("utf8");
  const isYaml = type.includes("yaml") && bytes[0] !== 0x7b;
  return isYaml ? await parseYamlDocument(text, { longestRare: LONGEST_RARE_YAML }) : JSON.parse(text);
}

/** What is recorded of one request. */
export class AuditedRequest {
  readonly level: AuditLevel;
  readonly #request: ApiRequest;
  readonly #verdict: AuditVerdict;
  readonly #sink: AuditSink;
  readonly #clock: Clock;
  readonly #receivedAt: string;
  readonly #isLongRunning: boolean;
  readonly #exchange: Exchange;
  readonly #user: UserInfo;
  readonly #reference: AuditObjectReference | undefined;
  readonly #annotations: Record<string, string> = {};
  #impersonated: UserInfo | undefined;
  #requestObject: JsonText | undefined;
  #body: Buffer | undefined;
  #answer: Buffer[] = [];
  #answerType = "";
  #isZipped = false;
  #code: number | undefined;
  #status: Partial<Omit<Status, "metadata">> | undefined;
  #isEnded = false;
  #isRefused = false;
  #isFinished = false;
  #settled: (() => void) | undefined;
  #audited: AuditedExchange | undefined;
  readonly #isHolding: boolean;

  /** `isHolding`: an answer ends once its last event is stored. */
  constructor(request: ApiRequest, verdict: AuditVerdict, sink: AuditSink, clock: Clock, isHolding = false) {
    this.#isHolding = isHolding;
    this.level = verdict.level;
    this.#request = request;
    this.#verdict = verdict;
    this.#sink = sink;
    this.#clock = clock;
    this.#receivedAt = microTime(clock.now() - (clock.monotonicMs() - request.startedAt));
    this.#isLongRunning = isLongRunning(request.info);
    this.#exchange = request.exchange;
    this.#user = request.user;
    const { info } = request;
    this.#reference = info.isResource
      ? {
          resource: info.resource,
          namespace: filled(info.namespace),
          name: filled(info.name),
          apiGroup: filled(info.group),
          apiVersion: info.version,
          subresource: filled(info.subresource),
        }
      : undefined;
  }

  /** Whether what is written is nobody else's business, and the policy does not ask for it. */
  get #isSecret(): boolean {
    const { resource, subresource } = this.#request.info;
    return (
      !this.#records("Request") && (resource === "secrets" || resource === "tokenreviews" || subresource === "token")
    );
  }

  #records(level: AuditLevel): boolean {
    return records(this.level, level);
  }

  /** Takes its place in the request. */
  attach(): void {
    const request = this.#request;
    const wantsAnswer = this.#records("RequestResponse") && !this.#isLongRunning;
    const listener: ExchangeListener = {
      body: request.info.isResource
        ? (bytes) => {
            this.#body = bytes;
          }
        : undefined,
      started: (status, headers) => this.#started(status, headers),
      answer: (bytes) => {
        if (wantsAnswer || (this.#code ?? 0) >= 400 || this.#mayBeStatus(bytes)) this.#answer.push(bytes);
      },
      ended: () => {
        this.#isEnded = true;
        this.#settle();
      },
    };
    // Watches pass as they are.
    if (this.#isLongRunning) delete listener.answer;
    this.#audited = new AuditedExchange(this.#exchange, {
      ...listener,
      isHolding: this.#isHolding && !this.#isLongRunning,
    });
    request.exchange = this.#audited;
    request.annotate = (key, value, level = "Metadata") => {
      if (this.#records(level)) this.#annotations[key] ??= value;
    };
    if (WRITING.has(request.info.verb)) request.noteObject = (object) => this.#noteObject(object);
  }

  /** An answer to a deletion may be a Status. */
  #mayBeStatus(bytes: Buffer): boolean {
    return bytes.length < 4096 && bytes.subarray(0, 40).includes('"Status"');
  }

  #noteObject(object: ApiDraft): void {
    this.#fillReference(object.metadata);
    this.#body = undefined;
    if (!this.#records("Request")) return;
    this.#requestObject = JSON.stringify(this.#trimmed(object));
  }

  #fillReference(metadata: unknown): void {
    const reference = this.#reference;
    if (reference === undefined || !isObject(metadata)) return;
    for (const field of ["namespace", "name", "uid", "resourceVersion"] as const) {
      const value = metadata[field];
      if (typeof value === "string" && value !== "") reference[field] ??= value;
    }
  }

  #trimmed(value: unknown): unknown {
    return this.#verdict.omitsManagedFields ? withoutManagedFields(value) : value;
  }

  /** The request goes on as somebody else's. */
  noteUser(user: UserInfo): void {
    if (user !== this.#user) this.#impersonated = user;
  }

  /** Events of this request that could not be made before its end. */
  #started(status: number, headers: ResponseHeaders): void {
    if (this.#code !== undefined) return;
    this.#code = status;
    this.#answerType = String(headers["content-type"] ?? "");
    this.#isZipped = headers["content-encoding"] === "gzip";
    if (this.#isLongRunning) void this.process("ResponseStarted");
  }

  /** The request was refused before it was known whose it is: one event, when the answer begins. */
  attachRefused(status: { readonly message: string }): void {
    this.#status = status;
    this.#isRefused = true;
    let stored: boolean | Promise<boolean> = true;
    const audited = new AuditedExchange(this.#exchange, {
      started: (code) => {
        this.#code = code;
        stored = this.process("ResponseStarted");
      },
      ended: () => {
        if (stored instanceof Promise) void stored.finally(() => audited.release());
        else audited.release();
      },
      isHolding: this.#isHolding,
    });
    this.#request.exchange = audited;
  }

  /** True, unless the event had to be stored and could not be. */
  process(stage: AuditStage): boolean | Promise<boolean> {
    if (this.#verdict.omitStages.has(stage)) return true;
    const status =
      this.#code === undefined && this.#status === undefined
        ? undefined
        : { metadata: {}, ...this.#status, ...(this.#code === undefined ? {} : { code: this.#code }) };
    const { exchange, info, auditId } = this.#request;
    const hasAnnotations = Object.keys(this.#annotations).length > 0;
    const agent = this.#request.userAgent;
    const event: AuditEvent = {
      level: this.level,
      auditID: auditId,
      stage,
      requestURI: exchange.query === "" ? exchange.path : `${exchange.path}?${withoutToken(exchange.query)}`,
      verb: info.verb,
      user: this.#isRefused ? {} : auditUser(this.#user),
      impersonatedUser: this.#impersonated === undefined ? undefined : auditUser(this.#impersonated),
      sourceIPs: sourceIps(this.#exchange),
      userAgent: filled(agent.length > MAX_USER_AGENT ? `${agent.slice(0, MAX_USER_AGENT)}...TRUNCATED` : agent),
      objectRef: this.#reference === undefined ? undefined : { ...this.#reference },
      responseStatus: status,
      requestObject: this.#requestObject,
      responseObject: stage === "ResponseComplete" ? this.#responseObject : undefined,
      requestReceivedTimestamp: this.#receivedAt,
      stageTimestamp: stage === "RequestReceived" ? this.#receivedAt : microTime(this.#clock.now()),
      annotations: hasAnnotations ? { ...this.#annotations } : undefined,
    };
    return this.#sink([event]);
  }

  #responseObject: JsonText | undefined;

  /** The request has been dealt with. Settles when its last event is made: when the answer has ended, or may. */
  async finish(): Promise<void> {
    try {
      await this.#finish();
    } finally {
      this.#audited?.release();
    }
  }

  async #finish(): Promise<void> {
    const { panic } = this.#request;
    this.#isFinished = true;
    if (this.#code === undefined && this.#request.exchange.upgrade === undefined) {
      this.#status ??= { status: "Success", message: "Connection closed early" };
      this.#code = 200;
      this.#isEnded = true;
      if (this.#isLongRunning) void this.process("ResponseStarted");
    } else if (this.#code === undefined) {
      this.#started(101, {});
      this.#isEnded = true;
    }
    if (!this.#isEnded) {
      await new Promise<void>((resolve) => {
        this.#settled = resolve;
        // Whoever is gone gets no end of the answer.
        if (this.#request.signal.aborted) resolve();
        else this.#request.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    await this.#readObjects();
    if (panic !== undefined) {
      this.#code = 500;
      const message = `APIServer panic'd: ${panic}`;
      this.#status = { status: "Failure", message, reason: "InternalError" };
    }
    await this.process(panic === undefined ? "ResponseComplete" : "Panic");
  }

  #settle(): void {
    if (this.#isFinished) this.#settled?.();
  }

  async #readObjects(): Promise<void> {
    const body = this.#body;
    if (body !== undefined && body.length > 0) await this.#readBody(body).catch(() => undefined);
    this.#body = undefined;
    if (this.#answer.length > 0) await this.#readAnswer(Buffer.concat(this.#answer)).catch(() => undefined);
    this.#answer = [];
  }

  async #readBody(body: Buffer): Promise<void> {
    const { verb } = this.#request.info;
    const isPatch = verb === "patch";
    if (isPatch && !this.#records("Request")) return;
    let value = await readValue(body, this.#request.exchange.header("content-type") ?? "");
    if (verb.startsWith("delete") && isObject(value)) {
      value = { ...value, kind: "DeleteOptions", apiVersion: value["apiVersion"] ?? "meta.k8s.io/__internal" };
    } else if (!isPatch && isObject(value)) this.#fillReference(value["metadata"]);
    if (this.#records("Request")) this.#requestObject = JSON.stringify(isPatch ? value : this.#trimmed(value));
  }

  async #readAnswer(bytes: Buffer): Promise<void> {
    const plain = this.#isZipped ? gunzipSync(bytes) : bytes;
    if (!/json|yaml|protobuf/.test(this.#answerType)) return;
    const value = await readValue(plain, this.#answerType);
    if (!isObject(value) || typeof value["kind"] !== "string") return;
    if (value["kind"] === "Status" && value["apiVersion"] === "v1") {
      const { status, message, reason, details } = value as Partial<Status>;
      const text = JSON.stringify({ status, message, reason, details }, this.#isSecret ? withoutValues : undefined);
      this.#status = JSON.parse(text) as Partial<Omit<Status, "metadata">>;
    }
    if (!this.#records("RequestResponse")) return;
    this.#responseObject = JSON.stringify(this.#trimmed(value));
  }
}
