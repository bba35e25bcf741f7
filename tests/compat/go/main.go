// franz-go against one node: `clients HOST:PORT STEP`. Exit code 0 when the step went as with Apache Kafka.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var steps = map[string]func(context.Context, string){
	"codecs":      codecs,
	"producers":   producers,
	"groups":      groups,
	"next-groups": nextGroups,
	"topics":      topics,
	"offsets":     offsets,
	"cluster":     cluster,
}

func main() {
	bootstrap, step := os.Args[1], os.Args[2]
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Second)
	defer cancel()
	run, found := steps[step]
	check(found, "a step of that name")
	run(ctx, bootstrap)
}

// check ends the program with what was expected.
func check(holds bool, what string, values ...any) {
	if !holds {
		fmt.Fprintf(os.Stderr, "expected "+what+"\n", values...)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	check(err == nil, "no error but: %v", err)
	return value
}

func client(bootstrap string, options ...kgo.Opt) *kgo.Client {
	return must(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap)}, options...)...))
}

func admin(bootstrap string) *kadm.Client {
	return kadm.NewClient(client(bootstrap))
}

func create(ctx context.Context, bootstrap, topic string, partitions int32) {
	adm := admin(bootstrap)
	defer adm.Close()
	must(adm.CreateTopic(ctx, partitions, 1, nil, topic))
}

func value(number int) []byte {
	return bytes.Repeat([]byte(strconv.Itoa(number)), 20)
}

// produce sends so many records to a topic, in turn over its partitions.
func produce(ctx context.Context, bootstrap, topic string, first, count, partitions int, options ...kgo.Opt) {
	cl := client(bootstrap, append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	defer cl.Close()
	records := make([]*kgo.Record, count)
	for index := range records {
		number := first + index
		records[index] = &kgo.Record{
			Topic: topic, Partition: int32(number % partitions), Key: []byte(strconv.Itoa(number)), Value: value(number),
			Headers: []kgo.RecordHeader{{Key: "number", Value: []byte(strconv.Itoa(number))}},
		}
	}
	check(cl.ProduceSync(ctx, records...).FirstErr() == nil, "every record acknowledged")
}

// read polls until there are so many records.
func read(ctx context.Context, cl *kgo.Client, count int) []*kgo.Record {
	var got []*kgo.Record
	for len(got) < count {
		fetches := cl.PollFetches(ctx)
		check(len(fetches.Errors()) == 0, "no error while fetching but %v, after %d of %d", fetches.Errors(), len(got), count)
		got = append(got, fetches.Records()...)
	}
	check(len(got) == count, "%d records, not %d", count, len(got))
	return got
}

// codecs: every codec, with keys and headers.
func codecs(ctx context.Context, bootstrap string) {
	all := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range all {
		topic := "go-" + name
		create(ctx, bootstrap, topic, 1)
		produce(ctx, bootstrap, topic, 0, 500, 1, kgo.ProducerBatchCompression(codec))
		cl := client(bootstrap, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		for number, record := range read(ctx, cl, 500) {
			check(bytes.Equal(record.Value, value(number)) && record.Offset == int64(number), "%s: record %d", name, number)
			check(string(record.Headers[0].Value) == strconv.Itoa(number), "%s: header of record %d", name, number)
		}
		cl.Close()
	}
}

// producers: without idempotence, each kind of acknowledgement, and a record that is too large.
func producers(ctx context.Context, bootstrap string) {
	create(ctx, bootstrap, "go-acks", 1)
	for _, acks := range []kgo.Acks{kgo.NoAck(), kgo.LeaderAck(), kgo.AllISRAcks()} {
		produce(ctx, bootstrap, "go-acks", 0, 10, 1, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
	}
	cl := client(bootstrap, kgo.ConsumeTopics("go-acks"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ProducerBatchMaxBytes(4<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer cl.Close()
	read(ctx, cl, 30)
	err := cl.ProduceSync(ctx, &kgo.Record{Topic: "go-acks", Value: make([]byte, 2<<20)}).FirstErr()
	check(errors.Is(err, kerr.MessageTooLarge), "MESSAGE_TOO_LARGE, not %v", err)
}

// assigned is what each member has, by the calls that told it.
var (
	mutex    sync.Mutex
	assigned = map[*kgo.Client]map[int32]bool{}
)

func note(present bool) func(context.Context, *kgo.Client, map[string][]int32) {
	return func(_ context.Context, member *kgo.Client, topics map[string][]int32) {
		mutex.Lock()
		defer mutex.Unlock()
		if assigned[member] == nil {
			assigned[member] = map[int32]bool{}
		}
		for _, partitions := range topics {
			for _, partition := range partitions {
				if present {
					assigned[member][partition] = true
				} else {
					delete(assigned[member], partition)
				}
			}
		}
	}
}

// share polls until the members' partitions are so many each.
func share(ctx context.Context, members []*kgo.Client, wanted ...int) {
	var sizes []int
	for ctx.Err() == nil {
		for _, member := range members {
			short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			member.PollFetches(short)
			cancel()
		}
		mutex.Lock()
		sizes = nil
		for _, member := range members {
			sizes = append(sizes, len(assigned[member]))
		}
		mutex.Unlock()
		if fmt.Sprint(sizes) == fmt.Sprint(wanted) {
			return
		}
	}
	check(false, "shares of %v, not %v", wanted, sizes)
}

func member(bootstrap, group, topic string, options ...kgo.Opt) *kgo.Client {
	return client(bootstrap, append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.OnPartitionsAssigned(note(true)), kgo.OnPartitionsRevoked(note(false)),
		kgo.OnPartitionsLost(note(false)), kgo.HeartbeatInterval(200 * time.Millisecond),
	}, options...)...)
}

// groups: the classic protocol with each balancer: two share, one leaves, the other commits, another goes on.
func groups(ctx context.Context, bootstrap string) {
	balancers := map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(), "sticky": kgo.StickyBalancer(),
		"cooperative": kgo.CooperativeStickyBalancer(),
	}
	for name, balancer := range balancers {
		groupOf(ctx, bootstrap, "go-group-"+name, kgo.Balancers(balancer))
	}
}

// nextGroups: the same by the consumer group protocol of KIP-848.
func nextGroups(ctx context.Context, bootstrap string) {
	groupOf(ctx, bootstrap, "go-group-next", kgo.ServerSideBalancer())
	adm := admin(bootstrap)
	defer adm.Close()
	described := must(adm.DescribeConsumerGroups(ctx, "go-group-next"))["go-group-next"]
	check(described.Err == nil && described.State == "Empty", "an empty consumer group, not %+v", described)
}

func groupOf(ctx context.Context, bootstrap, name string, option kgo.Opt) {
	create(ctx, bootstrap, name, 4)
	one := member(bootstrap, name, name, option)
	share(ctx, []*kgo.Client{one}, 4)
	two := member(bootstrap, name, name, option)
	share(ctx, []*kgo.Client{one, two}, 2, 2)
	two.Close()
	share(ctx, []*kgo.Client{one}, 4)
	produce(ctx, bootstrap, name, 0, 40, 4)
	check(one.CommitRecords(ctx, read(ctx, one, 40)...) == nil, "%s: a commit", name)
	one.Close()
	produce(ctx, bootstrap, name, 40, 4, 4)
	again := member(bootstrap, name, name, option)
	for _, record := range read(ctx, again, 4) {
		check(record.Offset == 10, "%s: the offset behind the commit, not %d", name, record.Offset)
	}
	again.Close()
}

// topics: create, list, describe, configure, grow, delete, and the errors.
func topics(ctx context.Context, bootstrap string) {
	adm := admin(bootstrap)
	defer adm.Close()
	hour := "3600000"
	created := must(adm.CreateTopics(ctx, 2, 1, map[string]*string{"retention.ms": &hour}, "go-topics"))
	check(created["go-topics"].Err == nil && created["go-topics"].NumPartitions == 2, "a topic, not %+v", created)
	_, err := adm.CreateTopic(ctx, 1, 1, nil, "go-topics")
	check(errors.Is(err, kerr.TopicAlreadyExists), "TOPIC_ALREADY_EXISTS, not %v", err)
	_, err = adm.CreateTopic(ctx, 1, 3, nil, "go-copies")
	check(errors.Is(err, kerr.InvalidReplicationFactor), "INVALID_REPLICATION_FACTOR, not %v", err)
	_, err = adm.CreateTopic(ctx, 1, 1, nil, "not a name")
	check(errors.Is(err, kerr.InvalidTopicException), "INVALID_TOPIC_EXCEPTION, not %v", err)
	check(must(adm.ValidateCreateTopics(ctx, 1, 1, nil, "go-dry"))["go-dry"].Err == nil, "a valid topic")
	listed := must(adm.ListTopics(ctx))
	check(listed.Has("go-topics") && !listed.Has("go-dry"), "go-topics alone in %v", listed.Names())
	check(listed["go-topics"].ID != (kadm.TopicID{}), "a topic id")
	must(adm.UpdatePartitions(ctx, 5, "go-topics"))
	check(len(must(adm.ListTopics(ctx, "go-topics"))["go-topics"].Partitions) == 5, "five partitions")
	configs := must(must(adm.DescribeTopicConfigs(ctx, "go-topics")).On("go-topics", nil))
	check(configs.Err == nil, "configurations, not %v", configs.Err)
	for _, config := range configs.Configs {
		check(config.Key != "retention.ms" || config.MaybeValue() == hour, "the retention given, not %s", config.MaybeValue())
	}
	longer, both := "7200000", "compact"
	changes := []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "retention.ms", Value: &longer},
		{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: &both},
	}
	check(must(adm.AlterTopicConfigs(ctx, changes, "go-topics"))[0].Err == nil, "altered configurations")
	altered := must(must(adm.DescribeTopicConfigs(ctx, "go-topics")).On("go-topics", nil))
	for _, config := range altered.Configs {
		check(config.Key != "retention.ms" || config.MaybeValue() == longer, "the new retention, not %s", config.MaybeValue())
		check(config.Key != "cleanup.policy" || config.MaybeValue() == "delete,compact", "both, not %s", config.MaybeValue())
	}
	check(must(adm.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: &hour}}, "go-topics"))[0].Err == nil, "the whole set replaced")
	nonsense := "nonsense"
	wrong := must(adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: &nonsense}}, "go-topics"))[0].Err
	check(errors.Is(wrong, kerr.InvalidConfig), "INVALID_CONFIG, not %v", wrong)
	brokers := must(adm.DescribeBrokerConfigs(ctx, 1))
	check(len(brokers) == 1 && brokers[0].Err == nil && len(brokers[0].Configs) > 10, "a broker's configurations")
	metadata := must(adm.BrokerMetadata(ctx))
	check(metadata.Controller == 1 && len(metadata.Brokers) == 1 && metadata.Cluster != "", "one broker, not %+v", metadata)
	check(must(adm.DeleteTopic(ctx, "go-topics")).Err == nil, "the topic deleted")
	// Another client, because this one answers from what it remembers.
	other := admin(bootstrap)
	defer other.Close()
	check(!must(other.ListTopics(ctx)).Has("go-topics"), "the topic gone")
}

// offsets: starts, ends, by time, of the greatest time, by leader epoch; committed, listed, lagging, deleted.
func offsets(ctx context.Context, bootstrap string) {
	adm := admin(bootstrap)
	defer adm.Close()
	create(ctx, bootstrap, "go-offsets", 2)
	before := time.Now().UnixMilli()
	produce(ctx, bootstrap, "go-offsets", 0, 20, 2)
	offset := func(listed kadm.ListedOffsets, err error) int64 {
		found, _ := must(listed, err).Lookup("go-offsets", 1)
		check(found.Err == nil, "an offset, not %v", found.Err)
		return found.Offset
	}
	check(offset(adm.ListStartOffsets(ctx, "go-offsets")) == 0, "start 0")
	check(offset(adm.ListEndOffsets(ctx, "go-offsets")) == 10, "end 10")
	check(offset(adm.ListCommittedOffsets(ctx, "go-offsets")) == 10, "committed end 10")
	check(offset(adm.ListOffsetsAfterMilli(ctx, before, "go-offsets")) == 0, "the first after that time")
	check(offset(adm.ListOffsetsAfterMilli(ctx, before+3_600_000, "go-offsets")) == 10, "the end for a time to come")
	check(offset(adm.ListMaxTimestampOffsets(ctx, "go-offsets")) >= 0, "the greatest time")
	check(offset(adm.ListLocalLogStartOffsets(ctx, "go-offsets")) == 0, "local start 0")
	asked := kadm.OffsetForLeaderEpochRequest{}
	asked.Add("go-offsets", 1, 0)
	epochs := must(adm.OffsetForLeaderEpoch(ctx, asked))
	check(epochs["go-offsets"][1].Err == nil && epochs["go-offsets"][1].EndOffset == 10, "the end of epoch 0, not %+v", epochs)
	committed := kadm.Offsets{}
	committed.AddOffset("go-offsets", 0, 3, -1)
	committed.AddOffset("go-offsets", 1, 10, -1)
	check(adm.CommitAllOffsets(ctx, "go-lag", committed) == nil, "offsets committed without a member")
	fetched := must(adm.FetchOffsets(ctx, "go-lag"))
	check(fetched["go-offsets"][0].At == 3 && fetched["go-offsets"][1].At == 10, "what was committed, not %+v", fetched)
	lag := must(adm.Lag(ctx, "go-lag"))["go-lag"]
	check(lag.Error() == nil && lag.Lag.Total() == 7, "a lag of 7, not %d, %v", lag.Lag.Total(), lag.Error())
	check(must(adm.ListGroups(ctx))["go-lag"].State == "Empty", "an empty group")
	coordinator := adm.FindGroupCoordinators(ctx, "go-lag")["go-lag"]
	check(coordinator.Err == nil && coordinator.NodeID == 1, "broker 1, not %+v", coordinator)
	gone := must(adm.DeleteOffsets(ctx, "go-lag", kadm.TopicsSet{"go-offsets": {0: {}}}))
	check(gone.Error() == nil, "an offset deleted, not %v", gone.Error())
	check(must(adm.DeleteGroup(ctx, "go-lag")).Err == nil, "the group deleted")
	_, err := adm.DeleteGroup(ctx, "go-lag")
	check(errors.Is(err, kerr.GroupIDNotFound), "GROUP_ID_NOT_FOUND, not %v", err)
}

// cluster: records deleted, directories, producers, elections, reassignments, quotas, and what is not there.
func cluster(ctx context.Context, bootstrap string) {
	adm := admin(bootstrap)
	defer adm.Close()
	create(ctx, bootstrap, "go-cluster", 2)
	produce(ctx, bootstrap, "go-cluster", 0, 20, 2)
	here := kadm.TopicsSet{"go-cluster": {0: {}, 1: {}}}
	producers := must(adm.DescribeProducers(ctx, here))
	check(len(producers["go-cluster"].Partitions[0].ActiveProducers) == 1, "one idempotent producer, not %+v", producers)
	before := kadm.Offsets{}
	before.AddOffset("go-cluster", 0, 4, -1)
	deleted := must(adm.DeleteRecords(ctx, before))
	check(deleted["go-cluster"][0].Err == nil && deleted["go-cluster"][0].LowWatermark == 4, "a start of 4, not %+v", deleted)
	var bytes int64
	must(adm.DescribeAllLogDirs(ctx, here)).Each(func(directory kadm.DescribedLogDir) {
		check(directory.Err == nil, "a directory, not %v", directory.Err)
		bytes += directory.Size()
	})
	check(bytes > 0, "a size")
	for _, partition := range must(adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, here))["go-cluster"] {
		check(errors.Is(partition.Err, kerr.ElectionNotNeeded), "ELECTION_NOT_NEEDED, not %v", partition.Err)
	}
	move := kadm.AlterPartitionAssignmentsReq{}
	move.Assign("go-cluster", 0, []int32{1})
	check(must(adm.AlterPartitionAssignments(ctx, move)).Error() == nil, "a reassignment to where it is")
	check(len(must(adm.ListPartitionReassignments(ctx, here))) == 0, "nothing under way")
	user := "go"
	entity := kadm.ClientQuotaEntity{{Type: "client-id", Name: &user}}
	quota := kadm.AlterClientQuotaEntry{Entity: entity, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1e6}}}
	check(must(adm.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{quota}))[0].Err == nil, "a quota set")
	asked := []kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchName: &user, MatchType: kmsg.QuotasMatchTypeExact}}
	quotas := must(adm.DescribeClientQuotas(ctx, true, asked))
	check(len(quotas) == 1 && quotas[0].Values[0].Value == 1e6, "the quota, not %+v", quotas)
	check(len(must(adm.DescribeUserSCRAMs(ctx))) == 0, "no users")
	check(len(must(adm.ListTransactions(ctx, nil, nil))) == 0, "no transactions")
	everything := kadm.NewACLs().AnyResource().Allow().AllowHosts().Operations().ResourcePatternType(kadm.ACLPatternAny)
	for _, acls := range must(adm.DescribeACLs(ctx, everything)) {
		check(errors.Is(acls.Err, kerr.SecurityDisabled), "SECURITY_DISABLED, not %v", acls.Err)
	}
	versions := must(adm.ApiVersions(ctx))
	check(len(versions) == 1, "versions of one broker")
}
