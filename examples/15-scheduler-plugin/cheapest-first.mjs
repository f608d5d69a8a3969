// Nodes say in a label what an hour costs; the cheaper one is better, and one beyond the limit will not do.

/** @type {import("@coracle/kube-scheduler").PluginFactory} */
export default function cheapestFirst({ label, limit }) {
  const priceOf = ({ node }) => Number(node?.metadata.labels?.[label] ?? limit);
  return {
    name: "CheapestFirst",
    // Only these make another try worthwhile for a pod that this plugin refused.
    events: ["node-added", "node-labels-changed"],
    filter(_state, _pod, node) {
      return priceOf(node) <= limit ? undefined : { reasons: ["node(s) were too dear"], isFinal: true };
    },
    score(_state, _pod, node) {
      return Math.round((100 * (limit - priceOf(node))) / limit);
    },
  };
}
