import { badRequest, forbidden, isObject, type Draft } from "@coracle/apimachinery";
import { loadKubeconfigWebhook, DEFAULT_RETRY, type KubeconfigWebhook } from "../outbound/kubeconfig-webhook.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { AdmissionDeps } from "./order.ts";
import type { AdmissionPlugin } from "./plugin.ts";

/** What the plugin must be told. */
export interface ImagePolicyConfiguration {
  readonly kubeConfigFile: string;
  readonly retryBackoffMs: number;
  /** How long a verdict is kept; 0: not at all. */
  readonly allowTtlMs: number;
  readonly denyTtlMs: number;
  /** Images are let in when the webhook cannot be asked. */
  readonly defaultAllow: boolean;
}

interface Verdict {
  readonly isAllowed: boolean;
  readonly reason: string;
  readonly auditAnnotations: readonly (readonly [string, string])[];
}

const AUDIT_PREFIX = "imagepolicywebhook.image-policy.k8s.io/";
const FAILED_OPEN = "alpha.image-policy.k8s.io/failed-open";
const MAX_KEPT = 1024;

function imagesOf(spec: Draft | undefined, members: readonly string[]): { readonly image: string }[] {
  return members.flatMap((member) =>
    (Array.isArray(spec?.[member]) ? (spec[member] as Draft[]) : []).map(({ image }) => ({
      image: typeof image === "string" ? image : "",
    })),
  );
}

function readVerdict(answer: Draft): Verdict {
  const status = isObject(answer.status) ? answer.status : {};
  const annotations = isObject(status.auditAnnotations) ? Object.entries(status.auditAnnotations) : [];
  return {
    isAllowed: status.allowed === true,
    reason: typeof status.reason === "string" ? status.reason : "",
    auditAnnotations: annotations.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  };
}

/** Asks a webhook whether a pod's images may run. */
export function imagePolicyWebhook(
  deps: AdmissionDeps,
  configuration: ImagePolicyConfiguration | undefined,
): AdmissionPlugin {
  if (configuration === undefined) {
    throw new Error(`couldn't init admission plugin "ImagePolicyWebhook": no config specified`);
  }
  const { clock, random, outbound, logger } = deps;
  const { kubeConfigFile: file, allowTtlMs, denyTtlMs, defaultAllow } = configuration;
  const retry = { ...DEFAULT_RETRY, initialMs: configuration.retryBackoffMs };
  const webhook: Promise<KubeconfigWebhook> = loadKubeconfigWebhook({
    client: outbound.client,
    file,
    clock,
    random,
    retry,
  });
  // Who asks first is told.
  webhook.catch(() => undefined);
  const kept = new Map<string, { readonly verdict: Verdict; readonly until: number }>();

  function keep(key: string, verdict: Verdict): void {
    const ttlMs = verdict.isAllowed ? allowTtlMs : denyTtlMs;
    if (ttlMs <= 0) return;
    const [oldest] = kept.keys();
    if (kept.size >= MAX_KEPT && oldest !== undefined) kept.delete(oldest);
    kept.set(key, { verdict, until: clock.monotonicMs() + ttlMs });
  }

  async function ask(spec: Draft, attributes: AdmissionAttributes): Promise<Verdict | undefined> {
    const key = JSON.stringify(spec);
    const known = kept.get(key);
    if (known !== undefined && known.until > clock.monotonicMs()) return known.verdict;
    kept.delete(key);
    try {
      const body = {
        kind: "ImageReview",
        apiVersion: "imagepolicy.k8s.io/v1alpha1",
        metadata: {},
        spec,
        status: { allowed: false },
      };
      const verdict = readVerdict((await (await webhook).post(body, attributes.context.signal)) as Draft);
      keep(key, verdict);
      return verdict;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      logger.warn("the image policy webhook cannot be asked", { error: why, allowed: defaultAllow });
      if (!defaultAllow) throw refusal(attributes, why);
      return undefined;
    }
  }

  const refusal = ({ group, resource, name }: AdmissionAttributes, why: string): Error =>
    forbidden({ group, resource }, name, why);

  return {
    name: "ImagePolicyWebhook",
    scope: { operations: ["CREATE", "UPDATE"], resources: ["/pods", "/pods/ephemeralcontainers"] },
    async validate(attributes) {
      const { object, subresource, namespace, context } = attributes;
      if (object === undefined) throw badRequest("Resource was marked with kind Pod but was unable to be converted");
      const members = subresource === "" ? ["containers", "initContainers"] : ["ephemeralContainers"];
      const all = Object.entries((object.metadata.annotations ?? {}) as Readonly<Record<string, string>>);
      const annotations = Object.fromEntries(all.filter(([key]) => key.includes(".image-policy.k8s.io/")));
      const spec: Draft = {
        containers: imagesOf(object.spec as Draft | undefined, members),
        ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
        namespace,
      };
      const verdict = await ask(spec, attributes);
      if (verdict === undefined) {
        context.annotate?.(`${AUDIT_PREFIX}failed-open`, "true");
        object.metadata.annotations = { ...(object.metadata.annotations as Draft | undefined), [FAILED_OPEN]: "true" };
        return;
      }
      for (const [key, value] of verdict.auditAnnotations) context.annotate?.(`${AUDIT_PREFIX}${key}`, value);
      if (verdict.isAllowed) return;
      throw refusal(
        attributes,
        verdict.reason === ""
          ? "one or more images rejected by webhook backend"
          : `image policy webhook backend denied one or more images: ${verdict.reason}`,
      );
    },
  };
}
