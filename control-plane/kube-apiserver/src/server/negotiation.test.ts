import { isStatusError } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import { bodyMediaType, negotiate, type Offer } from "./negotiation.ts";

const everything: Offer = { protobuf: true, transforms: true };

describe("negotiation", () => {
  it.each([
    [undefined, { media: "json", as: "" }],
    ["*/*", { media: "json", as: "" }],
    ["application/json", { media: "json", as: "" }],
    ["application/yaml", { media: "yaml", as: "" }],
    ["application/vnd.kubernetes.protobuf,application/json", { media: "protobuf", as: "" }],
    [
      "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
      { media: "json", as: "Table", asVersion: "v1" },
    ],
    ["application/json;as=Table;v=v9;g=meta.k8s.io,application/json", { media: "json", as: "" }],
    ["application/json;q=0.5,application/yaml", { media: "yaml" }],
    ["application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json", { media: "json" }],
    ["application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", { as: "PartialObjectMetadataList" }],
  ])("%s", (header, expected) => {
    expect(negotiate(header, everything)).toMatchObject(expected);
  });

  it("what cannot be written is 406", () => {
    try {
      negotiate("image/png", everything);
      expect.unreachable();
    } catch (error) {
      expect(isStatusError(error, "NotAcceptable")).toBe(true);
    }
  });

  it("a body without a type is JSON, one of a foreign type is not understood", () => {
    expect(bodyMediaType(undefined)).toBe("json");
    expect(bodyMediaType("application/json; charset=utf-8")).toBe("json");
    expect(bodyMediaType("text/plain")).toBeUndefined();
    expect(bodyMediaType("*/*")).toBeUndefined();
  });
});
