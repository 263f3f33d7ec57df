// Clients of Data Flow and Object Storage with the Go SDK. Prints the results as JSON.
//
// Arguments: runs ENDPOINT CONFIG COMPARTMENT FILE-URI APPLICATION-TO-CANCEL
// or: objects ENDPOINT CONFIG COMPARTMENT BUCKET
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/oracle/oci-go-sdk/v65/common"
	"github.com/oracle/oci-go-sdk/v65/dataflow"
	"github.com/oracle/oci-go-sdk/v65/objectstorage"
)

const displayName = "by Go"

type result map[string]any

func main() {
	if len(os.Args) < 6 {
		fail(fmt.Errorf("too few arguments: %v", os.Args[1:]))
	}
	command, endpoint, config, compartment, rest := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5:]
	provider, err := common.ConfigurationProviderFromFile(config, "")
	if err != nil {
		fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var found result
	switch command {
	case "runs":
		found, err = useRuns(ctx, provider, endpoint, compartment, rest[0], rest[1])
	case "objects":
		found, err = useObjects(ctx, provider, endpoint, compartment, rest[0])
	default:
		err = fmt.Errorf("unknown command: %s", command)
	}
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func useRuns(
	ctx context.Context, provider common.ConfigurationProvider, endpoint, compartment, fileURI, sleeper string,
) (result, error) {
	client, err := dataflow.NewDataFlowClientWithConfigurationProvider(provider)
	if err != nil {
		return nil, err
	}
	client.Host = endpoint
	created, err := client.CreateApplication(ctx, dataflow.CreateApplicationRequest{
		CreateApplicationDetails: dataflow.CreateApplicationDetails{
			CompartmentId:       &compartment,
			DisplayName:         common.String(displayName),
			Language:            dataflow.ApplicationLanguagePython,
			FileUri:             &fileURI,
			SparkVersion:        common.String("3.5.0"),
			DriverShape:         common.String("VM.Standard.E4.Flex"),
			ExecutorShape:       common.String("VM.Standard.E4.Flex"),
			DriverShapeConfig:   &dataflow.ShapeConfig{Ocpus: common.Float32(1), MemoryInGBs: common.Float32(2)},
			ExecutorShapeConfig: &dataflow.ShapeConfig{Ocpus: common.Float32(1), MemoryInGBs: common.Float32(2)},
			NumExecutors:        common.Int(1),
			FreeformTags:        map[string]string{"client": "ä"},
		},
	})
	if err != nil {
		return nil, err
	}
	applications, err := client.ListApplications(ctx, dataflow.ListApplicationsRequest{
		CompartmentId: &compartment, DisplayName: common.String(displayName),
	})
	if err != nil {
		return nil, err
	}
	run, err := submit(ctx, client, compartment, *created.Application.Id)
	if err != nil {
		return nil, err
	}
	ended, err := wait(ctx, client, *run.Id)
	if err != nil {
		return nil, err
	}
	logs, err := client.ListRunLogs(ctx, dataflow.ListRunLogsRequest{RunId: run.Id})
	if err != nil {
		return nil, err
	}
	output, err := readLog(ctx, client, *run.Id, "spark_application_stdout.log.gz")
	if err != nil {
		return nil, err
	}
	second, err := submit(ctx, client, compartment, sleeper)
	if err != nil {
		return nil, err
	}
	if _, err = client.DeleteRun(ctx, dataflow.DeleteRunRequest{RunId: second.Id}); err != nil {
		return nil, err
	}
	canceled, err := wait(ctx, client, *second.Id)
	if err != nil {
		return nil, err
	}
	listed, err := listRuns(ctx, client, compartment)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, log := range logs.Items {
		names = append(names, *log.Name)
	}
	return result{
		"applications": len(applications.Items),
		"tags":         applications.Items[0].FreeformTags,
		"state":        ended.LifecycleState,
		"ocpus":        ended.TotalOCpu,
		"started":      ended.TimeCreated.After(time.Now().Add(-time.Hour)),
		"logs":         names,
		"output":       output,
		"canceled":     canceled.LifecycleState,
		"listed":       listed,
		"missing":      missing(ctx, client),
	}, nil
}

func submit(ctx context.Context, client dataflow.DataFlowClient, compartment, application string) (dataflow.Run, error) {
	response, err := client.CreateRun(ctx, dataflow.CreateRunRequest{CreateRunDetails: dataflow.CreateRunDetails{
		CompartmentId: &compartment, ApplicationId: &application, DisplayName: common.String(displayName),
	}})
	return response.Run, err
}

func wait(ctx context.Context, client dataflow.DataFlowClient, id string) (dataflow.Run, error) {
	for {
		response, err := client.GetRun(ctx, dataflow.GetRunRequest{RunId: &id})
		if err != nil {
			return response.Run, err
		}
		switch response.LifecycleState {
		case dataflow.RunLifecycleStateSucceeded, dataflow.RunLifecycleStateFailed, dataflow.RunLifecycleStateCanceled:
			return response.Run, nil
		}
		select {
		case <-ctx.Done():
			return response.Run, fmt.Errorf("run %s: %w", id, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// readLog returns the text of a log. The HTTP client of Go may have decompressed it.
func readLog(ctx context.Context, client dataflow.DataFlowClient, id, name string) (string, error) {
	response, err := client.GetRunLog(ctx, dataflow.GetRunLogRequest{RunId: &id, Name: &name})
	if err != nil {
		return "", err
	}
	defer response.Content.Close()
	content, err := io.ReadAll(response.Content)
	if err != nil || !bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		return string(content), err
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(unpacked)
	return string(text), err
}

// listRuns returns the number of runs, read page by page.
func listRuns(ctx context.Context, client dataflow.DataFlowClient, compartment string) (int, error) {
	request := dataflow.ListRunsRequest{
		CompartmentId: &compartment, DisplayName: common.String(displayName), Limit: common.Int(1),
	}
	for count := 0; ; {
		response, err := client.ListRuns(ctx, request)
		if err != nil {
			return 0, err
		}
		count += len(response.Items)
		if response.OpcNextPage == nil {
			return count, nil
		}
		request.Page = response.OpcNextPage
	}
}

// missing returns the status and code of the error of a run that does not exist.
func missing(ctx context.Context, client dataflow.DataFlowClient) []any {
	_, err := client.GetRun(ctx, dataflow.GetRunRequest{RunId: common.String("ocid1.dataflowrun.oc1.iad.none")})
	if failure, ok := common.IsServiceError(err); ok {
		return []any{failure.GetHTTPStatusCode(), failure.GetCode()}
	}
	return []any{fmt.Sprint(err)}
}

func useObjects(
	ctx context.Context, provider common.ConfigurationProvider, endpoint, compartment, bucket string,
) (result, error) {
	client, err := objectstorage.NewObjectStorageClientWithConfigurationProvider(provider)
	if err != nil {
		return nil, err
	}
	client.Host = endpoint
	namespace, err := client.GetNamespace(ctx, objectstorage.GetNamespaceRequest{})
	if err != nil {
		return nil, err
	}
	_, err = client.CreateBucket(ctx, objectstorage.CreateBucketRequest{
		NamespaceName:       namespace.Value,
		CreateBucketDetails: objectstorage.CreateBucketDetails{Name: &bucket, CompartmentId: &compartment},
	})
	if err != nil {
		return nil, err
	}
	name, content := "a/b c+ü%.txt", "grüße"
	put, err := client.PutObject(ctx, objectstorage.PutObjectRequest{
		NamespaceName: namespace.Value,
		BucketName:    &bucket,
		ObjectName:    &name,
		ContentLength: common.Int64(int64(len(content))),
		PutObjectBody: io.NopCloser(bytes.NewBufferString(content)),
		OpcMeta:       map[string]string{"key": "v"},
	})
	if err != nil {
		return nil, err
	}
	got, err := client.GetObject(ctx, objectstorage.GetObjectRequest{
		NamespaceName: namespace.Value, BucketName: &bucket, ObjectName: &name,
	})
	if err != nil {
		return nil, err
	}
	defer got.Content.Close()
	read, err := io.ReadAll(got.Content)
	if err != nil {
		return nil, err
	}
	before, err := list(ctx, client, namespace.Value, bucket)
	if err != nil {
		return nil, err
	}
	_, err = client.DeleteObject(ctx, objectstorage.DeleteObjectRequest{
		NamespaceName: namespace.Value, BucketName: &bucket, ObjectName: &name,
	})
	if err != nil {
		return nil, err
	}
	after, err := list(ctx, client, namespace.Value, bucket)
	if err != nil {
		return nil, err
	}
	return result{
		"namespace": namespace.Value,
		"content":   string(read),
		"meta":      got.OpcMeta,
		"sameEtag":  *put.ETag == *got.ETag,
		"before":    before,
		"after":     after,
	}, nil
}

func list(ctx context.Context, client objectstorage.ObjectStorageClient, namespace *string, bucket string) ([]string, error) {
	response, err := client.ListObjects(ctx, objectstorage.ListObjectsRequest{
		NamespaceName: namespace, BucketName: &bucket,
	})
	names := []string{}
	for _, object := range response.Objects {
		names = append(names, *object.Name)
	}
	return names, err
}
