import { equalJson, type Draft } from "@coracle/apimachinery";

const PREFIX = "container.apparmor.security.beta.kubernetes.io/";
const LOCAL = "localhost/";

function profileOf(text: string): Draft | undefined {
  if (text === "unconfined") return { type: "Unconfined" };
  if (text === "runtime/default") return { type: "RuntimeDefault" };
  const name = text.startsWith(LOCAL) ? text.slice(LOCAL.length) : "";
  return name === "" || name.trim() !== name || name.length > 4095
    ? undefined
    : { type: "Localhost", localhostProfile: name };
}

/** The annotation that says a container's profile. */
export const appArmorAnnotationOf = (container: string): string => PREFIX + container;

/** Whether an annotation says what the profile does. */
export function isAppArmorProfile(annotation: string, profile: unknown): boolean {
  const said = profileOf(annotation);
  return said !== undefined && equalJson(said, profile ?? null);
}

/**
 * What older clients say of AppArmor in annotations stands in the containers' fields, where these say nothing. Returns the
 * annotations that a client should be told of.
 */
export function applyAppArmorAnnotations(metadata: Draft, spec: Draft): string[] {
  const annotations = (metadata["annotations"] ?? {}) as Readonly<Record<string, string>>;
  const keys = Object.keys(annotations).filter((key) => key.startsWith(PREFIX));
  if (keys.length === 0 || (spec["os"] as Draft | undefined)?.["name"] === "windows") return [];
  const ofPod = (spec["securityContext"] as Draft | undefined)?.["appArmorProfile"];
  const lists = [spec["initContainers"], spec["containers"], spec["ephemeralContainers"]] as (Draft[] | undefined)[];
  const told: string[] = [];
  for (const container of lists.flatMap((list) => list ?? [])) {
    const annotation = annotations[`${PREFIX}${container["name"] as string}`];
    const context = container["securityContext"] as Draft | undefined;
    if (annotation === undefined || (context?.["appArmorProfile"] ?? undefined) !== undefined) continue;
    const profile = profileOf(annotation);
    if (profile !== undefined && equalJson(profile, ofPod ?? null)) continue;
    told.push(`${PREFIX}${container["name"] as string}`);
    if (profile !== undefined) container["securityContext"] = { ...context, appArmorProfile: profile };
  }
  return told;
}
