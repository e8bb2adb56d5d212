import { expect, it } from "@jest/globals";
import { distributionOf } from "./distribution.ts";

it.each([
  ["v1.36.3", ""],
  ["", ""],
  ["v1.30.2-eks-1de2ab1", "EKS"],
  ["v1.31.4-gke.1372000", "GKE"],
  ["v1.31.4+k3s1", "k3s"],
  ["v1.31.4+rke2r1", "RKE2"],
  ["v1.31.4+k0s.0", "k0s"],
])("the version %j names the distribution %j", (version, distribution) => {
  expect(distributionOf(version)).toBe(distribution);
});
