import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { AccessRuleSchema, type AccessRuleService } from "@fairlead/protocol";
import type { AccessRules } from "../access/access-rules.ts";
import type { Admission } from "../access/admission.ts";
import { type Clusters, clusterUnknown } from "../clusters/clusters.ts";
import type { AccessServiceHandler } from "../lanes/access-service.ts";
import { explanationMessage, ruleMessage, ruleRecord } from "./access-rule-messages.ts";
import { callerOf } from "./cluster-service.ts";

/** `AccessRuleService`: for administrators, who reaches which cluster. */
export function accessRuleService(
  admission: Admission,
  clusters: Clusters,
  rules: AccessRules,
  access: AccessServiceHandler,
): ServiceImpl<typeof AccessRuleService> {
  return {
    listAccessRules: (_request, context) => {
      admission.requireAdministrator(callerOf(context));
      return { accessRules: rules.list().map(ruleMessage) };
    },
    createAccessRule: async ({ accessRule }, context) => {
      admission.requireAdministrator(callerOf(context));
      const rule = ruleRecord(accessRule ?? create(AccessRuleSchema));
      await rules.create(rule);
      return { accessRule: ruleMessage(rule) };
    },
    updateAccessRule: async ({ accessRule }, context) => {
      admission.requireAdministrator(callerOf(context));
      const rule = ruleRecord(accessRule ?? create(AccessRuleSchema));
      await rules.update(rule);
      access.recheck();
      return { accessRule: ruleMessage(rule) };
    },
    deleteAccessRule: async ({ name }, context) => {
      admission.requireAdministrator(callerOf(context));
      await rules.delete(name);
      access.recheck();
      return {};
    },
    explainAccess: ({ user, groups, cluster: name }, context) => {
      admission.requireAdministrator(callerOf(context));
      const cluster = clusters.get(name);
      if (cluster === undefined) throw clusterUnknown(name);
      return explanationMessage(rules.explain({ user, groups }, cluster, Date.now()));
    },
  };
}
