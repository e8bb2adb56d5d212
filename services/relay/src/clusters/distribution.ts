/** What a version names as its distribution, in the order in which it is looked for. */
const MARKS: readonly [mark: RegExp, name: string][] = [
  [/-eks-/, "EKS"],
  [/-gke\./, "GKE"],
  [/\+k3s/, "k3s"],
  [/\+rke2/, "RKE2"],
  [/\+k0s/, "k0s"],
  [/-tkg|\+vmware/, "TKG"],
  [/-aliyun/, "ACK"],
];

/** The distribution that an apiserver's version names, such as `v1.31.4+k3s1`; empty if it names none. */
export function distributionOf(kubernetesVersion: string): string {
  return MARKS.find(([mark]) => mark.test(kubernetesVersion))?.[1] ?? "";
}
