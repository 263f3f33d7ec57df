import com.fasterxml.jackson.databind.ObjectMapper;
import com.oracle.bmc.auth.ConfigFileAuthenticationDetailsProvider;
import com.oracle.bmc.dataflow.DataFlowClient;
import com.oracle.bmc.dataflow.model.ApplicationLanguage;
import com.oracle.bmc.dataflow.model.CreateApplicationDetails;
import com.oracle.bmc.dataflow.model.CreateRunDetails;
import com.oracle.bmc.dataflow.model.Run;
import com.oracle.bmc.dataflow.model.RunLifecycleState;
import com.oracle.bmc.dataflow.model.RunLogSummary;
import com.oracle.bmc.dataflow.model.RunSummary;
import com.oracle.bmc.dataflow.model.ShapeConfig;
import com.oracle.bmc.dataflow.requests.CreateApplicationRequest;
import com.oracle.bmc.dataflow.requests.CreateRunRequest;
import com.oracle.bmc.dataflow.requests.DeleteRunRequest;
import com.oracle.bmc.dataflow.requests.GetRunLogRequest;
import com.oracle.bmc.dataflow.requests.GetRunRequest;
import com.oracle.bmc.dataflow.requests.ListApplicationsRequest;
import com.oracle.bmc.dataflow.requests.ListRunLogsRequest;
import com.oracle.bmc.dataflow.requests.ListRunsRequest;
import com.oracle.bmc.model.BmcException;
import com.oracle.bmc.objectstorage.ObjectStorageClient;
import com.oracle.bmc.objectstorage.model.CreateBucketDetails;
import com.oracle.bmc.objectstorage.model.ObjectSummary;
import com.oracle.bmc.objectstorage.requests.CreateBucketRequest;
import com.oracle.bmc.objectstorage.requests.DeleteObjectRequest;
import com.oracle.bmc.objectstorage.requests.GetNamespaceRequest;
import com.oracle.bmc.objectstorage.requests.GetObjectRequest;
import com.oracle.bmc.objectstorage.requests.ListObjectsRequest;
import com.oracle.bmc.objectstorage.requests.PutObjectRequest;
import com.oracle.bmc.waiter.FixedTimeDelayStrategy;
import com.oracle.bmc.waiter.MaxTimeTerminationStrategy;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPInputStream;

/**
 * Clients of Data Flow and Object Storage with the Java SDK. Prints the results as JSON.
 *
 * <p>Arguments: runs ENDPOINT CONFIG COMPARTMENT FILE-URI APPLICATION-TO-CANCEL, or: objects ENDPOINT CONFIG
 * COMPARTMENT BUCKET
 */
public class Client {
    private static final String DISPLAY_NAME = "by Java";
    private static final int TIMEOUT_SECONDS = 300;

    public static void main(String[] args) throws Exception {
        var provider = new ConfigFileAuthenticationDetailsProvider(args[2], "DEFAULT");
        Map<String, Object> results;
        if (args[0].equals("runs")) {
            try (var client = DataFlowClient.builder().endpoint(args[1]).build(provider)) {
                results = useRuns(client, args[3], args[4], args[5]);
            }
        } else {
            try (var client = ObjectStorageClient.builder().endpoint(args[1]).build(provider)) {
                results = useObjects(client, args[3], args[4]);
            }
        }
        new PrintStream(System.out, true, StandardCharsets.UTF_8).println(new ObjectMapper().writeValueAsString(results));
    }

    private static Map<String, Object> useRuns(DataFlowClient client, String compartment, String fileUri, String sleeper)
            throws Exception {
        var shape = ShapeConfig.builder().ocpus(BigDecimal.ONE).memoryInGBs(BigDecimal.valueOf(2)).build();
        var application =
                client.createApplication(
                                CreateApplicationRequest.builder()
                                        .createApplicationDetails(
                                                CreateApplicationDetails.builder()
                                                        .compartmentId(compartment)
                                                        .displayName(DISPLAY_NAME)
                                                        .language(ApplicationLanguage.Python)
                                                        .fileUri(fileUri)
                                                        .sparkVersion("3.5.0")
                                                        .driverShape("VM.Standard.E4.Flex")
                                                        .executorShape("VM.Standard.E4.Flex")
                                                        .driverShapeConfig(shape)
                                                        .executorShapeConfig(shape)
                                                        .numExecutors(1)
                                                        .freeformTags(Map.of("client", "ä"))
                                                        .build())
                                        .build())
                        .getApplication();
        var applications =
                client.listApplications(
                                ListApplicationsRequest.builder()
                                        .compartmentId(compartment)
                                        .displayName(DISPLAY_NAME)
                                        .build())
                        .getItems();
        var ended = await(client, submit(client, compartment, application.getId()).getId());
        var logs = client.listRunLogs(ListRunLogsRequest.builder().runId(ended.getId()).build()).getItems();
        var output = readLog(client, ended.getId(), "spark_application_stdout.log.gz");
        var second = submit(client, compartment, sleeper);
        client.deleteRun(DeleteRunRequest.builder().runId(second.getId()).build());
        var canceled = await(client, second.getId());

        var results = new LinkedHashMap<String, Object>();
        results.put("applications", applications.size());
        results.put("tags", applications.get(0).getFreeformTags());
        results.put("state", ended.getLifecycleState().getValue());
        results.put("ocpus", ended.getTotalOCpu());
        results.put("created", ended.getTimeCreated().getTime());
        results.put("logs", logs.stream().map(RunLogSummary::getName).toList());
        results.put("output", output);
        results.put("canceled", canceled.getLifecycleState().getValue());
        results.put("listed", listRuns(client, compartment).size());
        results.put("missing", missing(client));
        return results;
    }

    private static Run submit(DataFlowClient client, String compartment, String application) {
        var details =
                CreateRunDetails.builder()
                        .compartmentId(compartment)
                        .applicationId(application)
                        .displayName(DISPLAY_NAME)
                        .build();
        return client.createRun(CreateRunRequest.builder().createRunDetails(details).build()).getRun();
    }

    private static Run await(DataFlowClient client, String id) throws Exception {
        RunLifecycleState[] ends = {
            RunLifecycleState.Succeeded, RunLifecycleState.Failed, RunLifecycleState.Canceled
        };
        var request = GetRunRequest.builder().runId(id).build();
        var limit = new MaxTimeTerminationStrategy(TIMEOUT_SECONDS * 1000L);
        var delay = new FixedTimeDelayStrategy(200);
        return client.getWaiters().forRun(request, limit, delay, ends).execute().getRun();
    }

    private static String readLog(DataFlowClient client, String id, String name) throws IOException {
        var response = client.getRunLog(GetRunLogRequest.builder().runId(id).name(name).build());
        try (InputStream log = new GZIPInputStream(response.getInputStream())) {
            return new String(log.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    /** Returns all runs, read page by page. */
    private static List<RunSummary> listRuns(DataFlowClient client, String compartment) {
        var request =
                ListRunsRequest.builder().compartmentId(compartment).displayName(DISPLAY_NAME).limit(1).build();
        var runs = new ArrayList<RunSummary>();
        client.getPaginators().listRunsRecordIterator(request).forEach(runs::add);
        return runs;
    }

    /** Returns the status and code of the error of a run that does not exist. */
    private static List<Object> missing(DataFlowClient client) {
        try {
            client.getRun(GetRunRequest.builder().runId("ocid1.dataflowrun.oc1.iad.none").build());
            return List.of();
        } catch (BmcException e) {
            return List.of(e.getStatusCode(), e.getServiceCode());
        }
    }

    private static Map<String, Object> useObjects(ObjectStorageClient client, String compartment, String bucket)
            throws Exception {
        var namespace = client.getNamespace(GetNamespaceRequest.builder().build()).getValue();
        var details = CreateBucketDetails.builder().name(bucket).compartmentId(compartment).build();
        client.createBucket(
                CreateBucketRequest.builder().namespaceName(namespace).createBucketDetails(details).build());
        var name = "a/b c+ü%.txt";
        var content = "grüße".getBytes(StandardCharsets.UTF_8);
        var put =
                client.putObject(
                        PutObjectRequest.builder()
                                .namespaceName(namespace)
                                .bucketName(bucket)
                                .objectName(name)
                                .contentLength((long) content.length)
                                .putObjectBody(new ByteArrayInputStream(content))
                                .opcMeta(Map.of("key", "v"))
                                .build());
        var got =
                client.getObject(
                        GetObjectRequest.builder()
                                .namespaceName(namespace)
                                .bucketName(bucket)
                                .objectName(name)
                                .build());
        String read;
        try (var stream = got.getInputStream()) {
            read = new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        }
        var before = list(client, namespace, bucket);
        client.deleteObject(
                DeleteObjectRequest.builder()
                        .namespaceName(namespace)
                        .bucketName(bucket)
                        .objectName(name)
                        .build());

        var results = new LinkedHashMap<String, Object>();
        results.put("namespace", namespace);
        results.put("content", read);
        results.put("meta", got.getOpcMeta());
        results.put("sameEtag", put.getETag().equals(got.getETag()));
        results.put("before", before);
        results.put("after", list(client, namespace, bucket));
        return results;
    }

    private static List<String> list(ObjectStorageClient client, String namespace, String bucket) {
        var request = ListObjectsRequest.builder().namespaceName(namespace).bucketName(bucket).build();
        var listed = client.listObjects(request).getListObjects().getObjects();
        return listed.stream().map(ObjectSummary::getName).toList();
    }
}
