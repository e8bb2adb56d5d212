import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { AccessRuleSchema, type AccessRuleService } from "@fairlead/protocol";
import type { AccessRuleRecord, AccessRules } from "../access/access-rules.ts";
import type { Admission } from "../access/admission.ts";
import type { AccessServiceHandler } from "../lanes/access-service.ts";
import { callerOf } from "./cluster-service.ts";

/** `AccessRuleService`: for administrators, who reaches which cluster. */
export function accessRuleService(
  admission: Admission,
  rules: AccessRules,
  access: AccessServiceHandler,
): ServiceImpl<typeof AccessRuleService> {
  return {
    listAccessRules: (_request, context) => {
      admission.requireAdministrator(callerOf(context));
      return { accessRules: rules.list().map((rule) => create(AccessRuleSchema, rule)) };
    },
    createAccessRule: async ({ accessRule }, context) => {
      admission.requireAdministrator(callerOf(context));
      const { name, users, groups, clusters, clusterLabels } = accessRule ?? create(AccessRuleSchema);
      const rule: AccessRuleRecord = { name, users, groups, clusters, clusterLabels };
      await rules.create(rule);
      return { accessRule: create(AccessRuleSchema, rule) };
    },
    deleteAccessRule: async ({ name }, context) => {
      admission.requireAdministrator(callerOf(context));
      await rules.delete(name);
      access.recheck();
      return {};
    },
  };
}
