import type { Namespace } from "@coracle/api/core/v1";
import { invalidValue, isObject, type Draft, type FieldError } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { nameIsDns1123Label, qualifiedName } from "../validation/names.ts";
import { objectIn, setDefault, setDefaultText } from "../validation/pod-defaults.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";

const NAME_LABEL = "kubernetes.io/metadata.name";
const FINALIZER = "kubernetes";

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  as<Namespace>(object).spec?.finalizers?.forEach((name) => {
    for (const message of qualifiedName(name)) errors.push(invalidValue("spec.finalizers", name, message));
    if (!name.includes("/") && name !== FINALIZER)
      errors.push(
        invalidValue("spec.finalizers", name, "name is neither a standard finalizer name nor is it fully qualified"),
      );
  });
  return errors;
}

/** The spec's finalizers change through `finalize` alone. */
function keepFinalizers(draft: ApiDraft, old: ApiObject): void {
  keepStatus(draft, old);
  draft["spec"] = old["spec"];
}

/** Every namespace is labelled with its name. */
function nameLabel(draft: ApiDraft): void {
  const name = isObject(draft.metadata) ? draft.metadata["name"] : undefined;
  if (typeof name !== "string" || name === "") return;
  setDefault(draft.metadata, "labels", {});
  const labels = objectIn(draft.metadata, "labels");
  if (labels !== undefined) labels[NAME_LABEL] = name;
}

export const namespace: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "namespaces",
  kind: "Namespace",
  defaults(draft) {
    setDefault(draft, "status", {});
    const status = objectIn(draft, "status");
    if (status !== undefined) setDefaultText(status, "phase", "Active");
    nameLabel(draft);
  },
  prepareForCreate(draft) {
    draft["status"] = { phase: "Active" };
    // A generated name is not known when defaults are set.
    nameLabel(draft);
    setDefault(draft, "spec", {});
    const spec = draft["spec"] as Draft;
    const finalizers = Array.isArray(spec["finalizers"]) ? (spec["finalizers"] as string[]) : [];
    if (!finalizers.includes(FINALIZER)) finalizers.push(FINALIZER);
    spec["finalizers"] = finalizers;
  },
  validateName: nameIsDns1123Label,
  validate,
  update: { prepare: keepFinalizers },
  subresources: { status: statusUpdate, finalize: { prepare: keepStatus } },
  selectableFields: {
    "status.phase": (o) => text(as<Namespace>(o).status?.phase),
    name: (o) => text(as<Namespace>(o).metadata?.name),
  },
};
