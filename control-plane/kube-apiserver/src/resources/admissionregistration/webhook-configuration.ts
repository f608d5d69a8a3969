import type { MutatingWebhookConfiguration } from "@coracle/api/admissionregistration/v1";
import { duplicate, type FieldError } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { objectIn, objectsIn, setDefault } from "../validation/pod-defaults.ts";
import { validateWebhook } from "../validation/webhook.ts";

function defaultsFor(isMutating: boolean): (draft: ApiDraft) => void {
  return (draft) => {
    for (const hook of objectsIn(draft, "webhooks")) {
      setDefault(hook, "failurePolicy", "Fail");
      setDefault(hook, "matchPolicy", "Equivalent");
      setDefault(hook, "namespaceSelector", {});
      setDefault(hook, "objectSelector", {});
      setDefault(hook, "timeoutSeconds", 10);
      if (isMutating) setDefault(hook, "reinvocationPolicy", "Never");
      for (const rule of objectsIn(hook, "rules")) setDefault(rule, "scope", "*");
      const service = objectIn(objectIn(hook, "clientConfig"), "service");
      if (service !== undefined) setDefault(service, "port", 443);
    }
  };
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  as<MutatingWebhookConfiguration>(object).webhooks?.forEach((hook, i) => {
    validateWebhook(errors, `webhooks[${i}]`, hook);
    const name = text(hook.name);
    if (name !== "" && names.has(name)) errors.push(duplicate(`webhooks[${i}].name`, name));
    names.add(name);
  });
  return errors;
}

export const mutatingWebhookConfiguration: ResourceDefinition = {
  group: "admissionregistration.k8s.io",
  version: "v1",
  plural: "mutatingwebhookconfigurations",
  kind: "MutatingWebhookConfiguration",
  allowUnconditionalUpdate: false,
  defaults: defaultsFor(true),
  validate,
};

export const validatingWebhookConfiguration: ResourceDefinition = {
  group: "admissionregistration.k8s.io",
  version: "v1",
  plural: "validatingwebhookconfigurations",
  kind: "ValidatingWebhookConfiguration",
  allowUnconditionalUpdate: false,
  defaults: defaultsFor(false),
  validate,
};
