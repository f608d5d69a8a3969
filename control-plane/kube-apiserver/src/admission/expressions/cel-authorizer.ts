import type { CelAuthorizer } from "@coracle/cel";
import { serviceAccountUser, type UserInfo } from "../../authentication/user.ts";
import type { Authorizer } from "../../authorization/authorizer.ts";

/** Answers an expression's questions about what the user of the request, or a service account, may do. */
export function celAuthorizer(authorizer: Authorizer, user: UserInfo): CelAuthorizer {
  return (question) => {
    const { serviceAccount, path } = question;
    const asker =
      serviceAccount === undefined ? user : serviceAccountUser(serviceAccount.namespace, serviceAccount.name, "");
    const decision = authorizer.authorize({
      user: asker,
      verb: question.verb,
      isResource: path === undefined,
      group: question.group ?? "",
      version: "*",
      resource: question.resource ?? "",
      subresource: question.subresource ?? "",
      namespace: question.namespace ?? "",
      name: question.name ?? "",
      path: path ?? "",
      fieldSelector: question.fieldSelector,
    });
    const answer = ({ verdict, reason = "" }: Awaited<typeof decision>): { allowed: boolean; reason: string } => ({
      allowed: verdict === "allow",
      reason,
    });
    return decision instanceof Promise ? decision.then(answer) : answer(decision);
  };
}
