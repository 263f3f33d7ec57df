// Put, get, list and delete objects with the npm package oci-objectstorage; prints the results as JSON.
// Arguments: endpoint, profile (JSON), name of a bucket to create, file to upload in parts.
import * as fs from "fs";
import * as common from "oci-common";
import * as os from "oci-objectstorage";

const [endpoint, profile, bucketName, file] = process.argv.slice(2);
const p = JSON.parse(profile);
const provider = new common.SimpleAuthenticationDetailsProvider(
  p.tenancy, p.user, p.fingerprint, p.key_content, null, common.Region.fromRegionId(p.region));
const client = new os.ObjectStorageClient({ authenticationDetailsProvider: provider });
client.endpoint = endpoint;

const text = async (value: AsyncIterable<Uint8Array>) => {
  const chunks: Buffer[] = [];
  for await (const chunk of value) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
};

(async () => {
  const namespaceName = (await client.getNamespace({})).value;
  const createBucketDetails = { name: bucketName, compartmentId: p.compartment };
  await client.createBucket({ namespaceName, createBucketDetails });
  const bucket = { namespaceName, bucketName };
  const name = "a/b c+ü%.txt";
  const put = await client.putObject({ ...bucket, objectName: name, putObjectBody: "grüße", opcMeta: { key: "v" } });
  const head = await client.headObject({ ...bucket, objectName: name });
  const got = await client.getObject({ ...bucket, objectName: name });
  // npm may install another oci-common for each package, whose classes are different types.
  const range = common.Range.parse("bytes 0-1/*") as unknown as os.requests.GetObjectRequest["range"];
  const part = await client.getObject({ ...bucket, objectName: name, range });
  let refused: unknown = null;
  try {
    await client.putObject({ ...bucket, objectName: name, putObjectBody: "x", ifNoneMatch: "*" });
  } catch (error) {
    const { statusCode, serviceCode } = error as common.OciError;
    refused = [statusCode, serviceCode];
  }
  await new os.UploadManager(client, { enforceMD5: true }).upload({
    requestDetails: { ...bucket, objectName: "stream" },
    content: { stream: fs.createReadStream(file) },
    singleUpload: false,
  });
  const listed = await client.listObjects({ ...bucket, fields: "name,size" });
  await client.deleteObject({ ...bucket, objectName: name });
  const content = await text(got.value);
  console.log(JSON.stringify({
    namespaceName, content, part: await text(part.value), refused, sameEtag: put.eTag === head.eTag,
    meta: head.opcMeta, objects: listed.listObjects.objects.map((o) => [o.name, o.size]),
  }));
})().catch((error) => { console.error(error); process.exit(1); });
