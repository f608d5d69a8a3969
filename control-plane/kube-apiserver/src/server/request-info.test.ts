import { describe, expect, it } from "vitest";
import { isLongRunning, parseRequestInfo } from "./request-info.ts";

const parse = (method: string, url: string): ReturnType<typeof parseRequestInfo> => {
  const [path = "", query = ""] = url.split("?");
  return parseRequestInfo(method, path, new URLSearchParams(query));
};

describe("request info", () => {
  it.each([
    ["GET", "/api/v1/pods", { verb: "list", resource: "pods", namespace: "", name: "" }],
    ["GET", "/api/v1/namespaces/a/pods", { verb: "list", resource: "pods", namespace: "a", name: "" }],
    ["GET", "/api/v1/namespaces/a/pods/b", { verb: "get", resource: "pods", namespace: "a", name: "b", isNamed: true }],
    ["HEAD", "/api/v1/namespaces/a/pods/b", { verb: "get" }],
    ["GET", "/api/v1/namespaces/a/pods/b/log", { verb: "get", subresource: "log", name: "b" }],
    ["GET", "/api/v1/namespaces", { verb: "list", resource: "namespaces", namespace: "" }],
    ["GET", "/api/v1/namespaces/a", { verb: "get", resource: "namespaces", namespace: "a", name: "a" }],
    [
      "PUT",
      "/api/v1/namespaces/a/finalize",
      { verb: "update", resource: "namespaces", name: "a", subresource: "finalize" },
    ],
    ["GET", "/api/v1/watch/namespaces/a/pods", { verb: "watch", resource: "pods", namespace: "a" }],
    ["GET", "/api/v1/pods?watch=true", { verb: "watch" }],
    ["GET", "/api/v1/pods?watch=0", { verb: "list" }],
    ["GET", "/api/v1/pods?fieldSelector=metadata.name%3Dx", { verb: "list", name: "x", isNamed: false }],
    ["GET", "/api/v1/pods?fieldSelector=metadata.name%3D..", { verb: "list", name: "" }],
    ["DELETE", "/apis/apps/v1/namespaces/a/deployments", { verb: "deletecollection", group: "apps", version: "v1" }],
    ["DELETE", "/apis/apps/v1/namespaces/a/deployments/d", { verb: "delete", name: "d" }],
    ["PATCH", "/apis/apps/v1/namespaces/a/deployments/d", { verb: "patch" }],
    ["GET", "/api/v1/nodes/n/proxy/a/b/", { verb: "get", subresource: "proxy", rest: "/a/b/" }],
    ["GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode", { name: "system:node" }],
    ["GET", "/api/v1/nodes/n/proxy/a%2Fb%3Fc", { subresource: "proxy", rest: "/a/b?c" }],
    // What is escaped is read like what is not: a backend would read it so, too.
    ["GET", "/api/v1/namespaces/a%2fpods", { verb: "list", resource: "pods", namespace: "a", name: "" }],
    ["GET", "/apis/g/v1/namespaces/a%2Fsecrets%2Fb", { resource: "secrets", namespace: "a", name: "b" }],
    ["GET", "/%61pi/v1/%70ods", { isResource: true, verb: "list", resource: "pods" }],
    ["GET", "/api/v1/namespaces/a/pods/..%2f..%2fb", { resource: "pods", name: "..", subresource: ".." }],
    ["GET", "/api/v1//pods", { verb: "get", resource: "", name: "pods" }],
    ["GET", "/apis/apps//v1/deployments", { group: "apps", version: "", resource: "v1", name: "deployments" }],
    ["GET", "/api/v1/namespaces/a?watch=true", { verb: "get", name: "a" }],
    ["GET", "/healthz%2f..%2fmetrics", { isResource: false, path: "/healthz/../metrics" }],
    ["GET", "/apis", { isResource: false, verb: "get", path: "/apis" }],
    ["GET", "/apis/apps/v1", { isResource: false }],
    ["POST", "/healthz", { isResource: false, verb: "post" }],
  ])("%s %s", (method, url, expected) => {
    expect(parse(method, url)).toMatchObject(expected);
  });

  it("a percent sign that encodes nothing is kept", () => {
    expect(parse("GET", "/api/v1/nodes/%zz").name).toBe("%zz");
  });

  it("watches, logs and upgrades count as long-running", () => {
    expect(isLongRunning(parse("GET", "/api/v1/pods?watch=1"))).toBe(true);
    expect(isLongRunning(parse("GET", "/api/v1/namespaces/a/pods/b/log"))).toBe(true);
    expect(isLongRunning(parse("GET", "/api/v1/pods"))).toBe(false);
  });
});
