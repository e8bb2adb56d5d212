import { it } from "@jest/globals";
import { connect } from "node:http2";
import { CallFixture, StreamRecord, LaneRecord, requestMessage } from "./lane-fixture.ts";
import { Lane } from "./lane.ts";
import { Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
it("probe", async () => {
  for (const mode of ["peer-end-reset", "cut", "sockdestroy", "goaway", "server-end", "server-end-then-more"]) {
    const calls = await CallFixture.start();
    const { client, server, http2 } = await calls.open();
    const heard = new StreamRecord();
    client.start(heard);
    const rec = new LaneRecord();
    const lane = new Lane(server, "server", Hop.AGENT);
    lane.start(rec); lane.sendReady();
    await heard.messages.take();
    if (mode === "peer-end-reset") { client.send(requestMessage("head")); await rec.frames.take(); client.end(); }
    if (mode === "cut") calls.cut();
    if (mode === "sockdestroy") http2.session?.socket.destroy();
    if (mode === "goaway") http2.session?.destroy(new Error("x"));
    if (mode.startsWith("server-end")) { lane.end(); heard.ends.take().then(() => client.end()); }
    const e = await heard.closes.take(); const s = await rec.closes.take();
    console.log(mode, "| client:", e?.code, e?.message, "| server:", s?.code, s?.message);
    await calls.close();
  }
});
