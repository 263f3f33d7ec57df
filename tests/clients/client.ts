// Submit, watch, log, list and cancel with the npm package oci-dataflow; prints the results as JSON.
// Arguments: endpoint, profile (JSON), OCID of an application that succeeds, OCID of one to cancel.
import * as common from "oci-common";
import * as dataflow from "oci-dataflow";

const [endpoint, profile, application, sleeper] = process.argv.slice(2);
const p = JSON.parse(profile);
const provider = new common.SimpleAuthenticationDetailsProvider(
  p.tenancy, p.user, p.fingerprint, p.key_content, null, common.Region.fromRegionId(p.region));
const client = new dataflow.DataFlowClient({ authenticationDetailsProvider: provider });
client.endpoint = endpoint;

const watch = async (runId: string) => {
  for (let i = 0; i < 300; i++) {
    const { run } = await client.getRun({ runId });
    if (["SUCCEEDED", "FAILED", "CANCELED"].includes(String(run.lifecycleState))) return run.lifecycleState;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`run ${runId} has not ended within a minute`);
};

const text = async (value: AsyncIterable<Uint8Array>) => {
  const chunks: Buffer[] = [];
  for await (const chunk of value) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
};

(async () => {
  const submit = (applicationId: string) => client.createRun({
    createRunDetails: { compartmentId: p.compartment, applicationId, displayName: "by npm", freeformTags: { a: "ä" } },
  });
  const { run, etag } = await submit(application);
  const state = await watch(run.id);
  const logs = await client.listRunLogs({ runId: run.id });
  const log = await client.getRunLog({ runId: run.id, name: "spark_application_stdout.log.gz" });
  const output = await text(log.value);
  const { run: second } = await submit(sleeper);
  await client.deleteRun({ runId: second.id });
  const canceled = await watch(second.id);
  const listed = await client.listRuns({ compartmentId: p.compartment, displayName: "by npm", limit: 1 });
  console.log(JSON.stringify({
    state, canceled, output, etag, logs: logs.items.map((i) => i.name), listed: listed.items.length,
    next: Boolean(listed.opcNextPage),
  }));
})().catch((error) => { console.error(error); process.exit(1); });
