import { afterAll } from "@jest/globals";
import { stopSharedNode } from "../support/shared-node.ts";
// What needs real pods, on one node after the other: a node takes longer to start than most of it to run.
import "./node.suite.ts";
import "./images.suite.ts";
import "./relay-chart.suite.ts";
import "./relay-examples.suite.ts";
import "./service-account-chart.suite.ts";
import "./agent-chart.suite.ts";
import "./agent-renewal.suite.ts";
import "./connect.suite.ts";
import "./ci-examples.suite.ts";
import "./forward.suite.ts";
import "./forward-refusals.suite.ts";

afterAll(stopSharedNode);
