package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

type record struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Timestamp int64    `json:"timestamp"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
}

// header is a pair to JSON.
type header struct {
	name  string
	value []byte
}

func (h header) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.name, h.value}) }

func (h *header) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&h.name, &h.value})
}

func shown(r *kgo.Record) record {
	headers := []header{}
	for _, each := range r.Headers {
		headers = append(headers, header{each.Key, each.Value})
	}
	return record{r.Topic, r.Partition, r.Offset, r.Timestamp.UnixMilli(), r.Key, r.Value, headers}
}

// login says how a client authenticates. Its mechanism is empty if it does not.
type login struct {
	Mechanism string `json:"mechanism"`
	User      string `json:"user"`
	Password  string `json:"password"`
	Token     string `json:"token"`
}

func (l login) options() []kgo.Opt {
	switch secret := (scram.Auth{User: l.User, Pass: l.Password}); l.Mechanism {
	case "PLAIN":
		return []kgo.Opt{kgo.SASL(plain.Auth{User: l.User, Pass: l.Password}.AsMechanism())}
	case "SCRAM-SHA-256":
		return []kgo.Opt{kgo.SASL(secret.AsSha256Mechanism())}
	case "SCRAM-SHA-512":
		return []kgo.Opt{kgo.SASL(secret.AsSha512Mechanism())}
	case "OAUTHBEARER":
		return []kgo.Opt{kgo.SASL(oauth.Auth{Token: l.Token}.AsMechanism())}
	}
	return nil
}

func client(given args, options ...kgo.Opt) (*kgo.Client, error) {
	options = append(options, kgo.SeedBrokers(strings.Split(given.Brokers, ",")...))
	cl, err := kgo.NewClient(append(options, given.Login.options()...)...)
	if err != nil || given.Login.Mechanism == "" {
		return cl, err
	}
	// A refused client would keep trying, and say nothing.
	return cl, cl.Ping(context.Background())
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

// send writes as an idempotent producer, and returns where each record is.
func send(ctx context.Context, given args) (any, error) {
	cl, err := client(
		given,
		kgo.ProducerBatchCompression(codecs[given.Codec]),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(20*time.Millisecond),
	)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	records := []*kgo.Record{}
	for _, each := range given.Records {
		headers := []kgo.RecordHeader{}
		for _, one := range each.Headers {
			headers = append(headers, kgo.RecordHeader{Key: one.name, Value: one.value})
		}
		at := time.UnixMilli(each.Timestamp)
		records = append(records, &kgo.Record{
			Topic: given.Topic, Partition: each.Partition, Timestamp: at, Key: each.Key, Value: each.Value, Headers: headers,
		})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return nil, err
	}
	places := [][]int64{}
	for _, each := range records {
		places = append(places, []int64{int64(each.Partition), each.Offset})
	}
	return places, nil
}

func readAll(ctx context.Context, given args) (any, error) {
	cl, err := client(given, kgo.ConsumeTopics(given.Topic), fromStart)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	read := []record{}
	for len(read) < given.Count {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) { read = append(read, shown(r)) })
	}
	return read, nil
}

var fromStart = kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())

// member polls until it is stopped, and reports what it reads and what it is assigned.
type member struct {
	id    int
	cl    *kgo.Client
	stop  context.CancelFunc
	ended chan error
}

var (
	lastID  atomic.Int64
	members sync.Map
)

func join(ctx context.Context, given args) (any, error) {
	id := int(lastID.Add(1))
	tell := func(what string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, places map[string][]int32) {
			say(map[string]any{"member": id, what: named(places)})
		}
	}
	options := []kgo.Opt{
		kgo.ConsumerGroup(given.GroupID),
		fromStart,
		kgo.FetchMaxWait(200 * time.Millisecond),
		kgo.AutoCommitInterval(200 * time.Millisecond),
		kgo.SessionTimeout(10 * time.Second),
		kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.MetadataMaxAge(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(tell("assigned")),
		kgo.OnPartitionsRevoked(tell("revoked")),
		kgo.OnPartitionsLost(tell("lost")),
	}
	switch given.Protocol {
	case "eager":
		options = append(options, kgo.Balancers(kgo.RangeBalancer()))
	case "cooperative":
		options = append(options, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	case "consumer":
		options = append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	default:
		return nil, fmt.Errorf("no protocol %q", given.Protocol)
	}
	if given.Pattern != "" {
		options = append(options, kgo.ConsumeRegex(), kgo.ConsumeTopics(given.Pattern))
	} else {
		options = append(options, kgo.ConsumeTopics(given.Topics...))
	}
	cl, err := client(given, options...)
	if err != nil {
		return nil, err
	}
	polling, cancel := context.WithCancel(ctx)
	joined := &member{id, cl, cancel, make(chan error, 1)}
	members.Store(id, joined)
	go joined.run(polling)
	return id, nil
}

func (m *member) run(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := m.cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil && ctx.Err() == nil {
			say(map[string]any{"member": m.id, "failed": err.Error()})
		}
		read := []record{}
		fetches.EachRecord(func(r *kgo.Record) { read = append(read, shown(r)) })
		if len(read) > 0 {
			say(map[string]any{"member": m.id, "records": read})
		}
	}
	err := m.cl.CommitUncommittedOffsets(context.Background())
	m.cl.Close()
	m.ended <- err
}

// stop ends it as a program ends: it commits and leaves.
func stop(_ context.Context, given args) (any, error) {
	found, _ := members.LoadAndDelete(given.Member)
	stopped := found.(*member)
	stopped.stop()
	return nil, <-stopped.ended
}

func named(places map[string][]int32) []string {
	names := []string{}
	for topic, partitions := range places {
		for _, partition := range partitions {
			names = append(names, fmt.Sprintf("%s-%d", topic, partition))
		}
	}
	return names
}
