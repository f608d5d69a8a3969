import type {
  CustomResourceDefinition,
  CustomResourceDefinitionCondition,
  CustomResourceDefinitionNames,
} from "@coracle/api/apiextensions/v1";
import { equalJson } from "@coracle/apimachinery";
import { conditionOf, isTrue, setCondition } from "./definition.ts";

type Condition = Omit<CustomResourceDefinitionCondition, "lastTransitionTime">;
type Status = NonNullable<CustomResourceDefinition["status"]>;

const APPROVED = "api-approved.kubernetes.io";
const NO_NAMES: CustomResourceDefinitionNames = { plural: "", kind: "" };

/** Names that the other definitions of a group have taken. */
function takenNames(crd: CustomResourceDefinition, all: readonly CustomResourceDefinition[]) {
  const resources = new Set<string>();
  const kinds = new Set<string>();
  for (const other of all) {
    if (other.spec.group !== crd.spec.group) continue;
    const names = other.status?.acceptedNames;
    if (names === undefined) continue;
    for (const name of [names.plural, names.singular ?? "", ...(names.shortNames ?? [])]) resources.add(name);
    kinds.add(names.kind);
    kinds.add(names.listKind ?? "");
  }
  return { resources, kinds };
}

/** The names a definition gets, and why not all it wants. */
export function planNames(
  crd: CustomResourceDefinition,
  all: readonly CustomResourceDefinition[],
): { readonly names: CustomResourceDefinitionNames; readonly condition: Condition } {
  const { resources, kinds } = takenNames(crd, all);
  const wanted = crd.spec.names;
  const had = crd.status?.acceptedNames ?? NO_NAMES;
  const names: { -readonly [K in keyof CustomResourceDefinitionNames]: CustomResourceDefinitionNames[K] } = { ...had };
  let condition: Condition = {
    type: "NamesAccepted",
    status: "True",
    reason: "NoConflicts",
    message: "no conflicts found",
  };
  const refuse = (reason: string, message: string): void => {
    condition = { type: "NamesAccepted", status: "False", reason, message };
  };
  const inUse = (name: string): string => `${JSON.stringify(name)} is already in use`;
  const isFree = (name: string, own: string, taken: ReadonlySet<string>): boolean => name === own || !taken.has(name);

  const one = (field: "plural" | "singular" | "kind" | "listKind", taken: ReadonlySet<string>): void => {
    const name = wanted[field] ?? "";
    if (isFree(name, had[field] ?? "", taken)) names[field] = name;
    else refuse(`${field[0]?.toUpperCase()}${field.slice(1)}Conflict`, inUse(name));
  };
  one("plural", resources);
  one("singular", resources);
  if (!equalJson(wanted.shortNames ?? [], had.shortNames ?? [])) {
    const own = new Set(had.shortNames);
    const refused = [
      ...new Set((wanted.shortNames ?? []).filter((name) => !own.has(name) && resources.has(name)).map(inUse)),
    ];
    if (refused.length > 0)
      refuse("ShortNamesConflict", refused.length === 1 ? refused.join() : `[${refused.join(", ")}]`);
    else if (wanted.shortNames === undefined) delete names.shortNames;
    else names.shortNames = wanted.shortNames;
  }
  one("kind", kinds);
  one("listKind", kinds);
  if (wanted.categories === undefined) delete names.categories;
  else names.categories = wanted.categories;
  return { names, condition };
}

/** Whether a group belongs to the Kubernetes community, which approves what is in it. */
function isProtected(group: string): boolean {
  return /(?:^|\.)(?:k8s|kubernetes)\.io$/.test(group);
}

function isUrl(text: string): boolean {
  return /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/?#]+/.test(text) && URL.canParse(text);
}

/** Whether a definition in a protected group has been approved; undefined in other groups. */
export function planApproval(crd: CustomResourceDefinition): Condition | undefined {
  if (!isProtected(crd.spec.group)) return undefined;
  const annotation = crd.metadata.annotations?.[APPROVED] ?? "";
  const about = "see https://github.com/kubernetes/enhancements/pull/1111";
  const type = "KubernetesAPIApprovalPolicyConformant";
  if (annotation === "") {
    const message = `protected groups must have approval annotation "${APPROVED}", ${about}`;
    return { type, status: "False", reason: "MissingAnnotation", message };
  }
  if (annotation.startsWith("unapproved")) {
    const message = `not approved: ${JSON.stringify(annotation)}`;
    return { type, status: "False", reason: "UnapprovedAnnotation", message };
  }
  if (isUrl(annotation)) {
    return { type, status: "True", reason: "ApprovedAnnotation", message: `approved in ${annotation}` };
  }
  const message = `protected groups must have approval annotation "${APPROVED}" with either a URL or a reason starting with "unapproved", ${about}`;
  return { type, status: "False", reason: "InvalidAnnotation", message };
}

/** Old definitions may preserve unknown fields, which no structural schema does. */
export function planNonStructural(crd: CustomResourceDefinition): Condition | undefined {
  if (crd.spec.preserveUnknownFields !== true) return undefined;
  const message = "spec.preserveUnknownFields: Invalid value: true: must be false";
  return { type: "NonStructuralSchema", status: "True", reason: "Violations", message };
}

const isSaid = (crd: CustomResourceDefinition, { type, status, reason, message }: Condition): boolean => {
  const before = conditionOf(crd, type);
  return before?.status === status && before.reason === reason && before.message === message;
};

/** A step of a definition on its way to being served; undefined: nothing is to be done. */
export type StatusStep = { readonly step: "names" | "established" | "conditions"; readonly status: Status };

/** The next thing to say of a definition. `hasGoodWebhook`: its conversion webhook's CA bundle can be read. */
export function planStatus(
  crd: CustomResourceDefinition,
  all: readonly CustomResourceDefinition[],
  facts: { readonly now: number; readonly hasGoodWebhook: boolean },
): StatusStep | undefined {
  const { now } = facts;
  const status: Status = crd.status ?? { acceptedNames: NO_NAMES, storedVersions: [] };
  const say = (...conditions: readonly Condition[]) => {
    let list = status.conditions ?? [];
    for (const condition of conditions) list = setCondition(list, condition, now);
    return list;
  };

  const about = [planNonStructural(crd), planApproval(crd)].filter(
    (condition): condition is Condition => condition !== undefined && !isSaid(crd, condition),
  );
  const isStructural = planNonStructural(crd) === undefined;
  const hadViolations = conditionOf(crd, "NonStructuralSchema") !== undefined;
  if (about.length > 0 || (isStructural && hadViolations)) {
    const conditions = say(...about).filter(({ type }) => !isStructural || type !== "NonStructuralSchema");
    return { step: "conditions", status: { ...status, conditions } };
  }

  if (!equalJson(crd.spec.names, status.acceptedNames)) {
    const { names, condition } = planNames(crd, all);
    if (!equalJson(names, status.acceptedNames) || !isSaid(crd, condition)) {
      const before = conditionOf(crd, "Established");
      let established: Condition = before ?? {
        type: "Established",
        status: "False",
        reason: "NotAccepted",
        message: "not all names are accepted",
      };
      if (established.status !== "True" && condition.status === "True") {
        established = {
          type: "Established",
          status: "False",
          reason: "Installing",
          message: "the initial names have been accepted",
        };
      }
      return { step: "names", status: { ...status, acceptedNames: names, conditions: say(condition, established) } };
    }
  }

  if (!isTrue(crd, "NamesAccepted") || isTrue(crd, "Established")) return undefined;
  const established: Condition = facts.hasGoodWebhook
    ? {
        type: "Established",
        status: "True",
        reason: "InitialNamesAccepted",
        message: "the initial names have been accepted",
      }
    : {
        type: "Established",
        status: "False",
        reason: "InvalidCABundle",
        message: "The conversion webhook CABundle is invalid",
      };
  if (isSaid(crd, established)) return undefined;
  return { step: "established", status: { ...status, conditions: say(established) } };
}
