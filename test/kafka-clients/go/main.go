// Drives franz-go. Each line of standard input is a JSON object: an operation, its arguments, and an id for the response.
// Operations run concurrently. Members of a group print what they read without a request. Bytes are base64, as in JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"sync"
)

type asked struct {
	ID   int    `json:"id"`
	Op   string `json:"op"`
	Args args   `json:"args"`
}

// args are those of every operation together; each takes its own.
type args struct {
	Brokers    string            `json:"brokers"`
	Topic      string            `json:"topic"`
	Topics     []string          `json:"topics"`
	Pattern    string            `json:"pattern"`
	Partitions int32             `json:"partitions"`
	Config     map[string]string `json:"config"`
	Codec      string            `json:"codec"`
	Records    []record          `json:"records"`
	Count      int               `json:"count"`
	GroupID    string            `json:"groupId"`
	Protocol   string            `json:"protocol"`
	Member     int               `json:"member"`
	Time       int64             `json:"time"`
	Offsets    map[int32]int64   `json:"offsets"`
	Login      login             `json:"login"`
}

type operation func(context.Context, args) (any, error)

var operations = map[string]operation{
	"send":          send,
	"read_all":      readAll,
	"join":          join,
	"stop":          stop,
	"create_topic":  createTopic,
	"describe":      describeTopic,
	"config":        describeConfig,
	"grow":          grow,
	"delete_topic":  deleteTopic,
	"start_offsets": startOffsets,
	"end_offsets":   endOffsets,
	"time_offsets":  timeOffsets,
	"trim":          trim,
	"groups":        listGroups,
	"group":         describeGroup,
	"lag":           lag,
	"commit":        commit,
	"delete_group":  deleteGroup,
}

func main() {
	ctx := context.Background()
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var given asked
		if err := json.Unmarshal(line, &given); err != nil {
			panic(err)
		}
		go func() { say(answer(ctx, given)) }()
	}
}

func answer(ctx context.Context, given asked) map[string]any {
	result, err := operations[given.Op](ctx, given.Args)
	if err != nil {
		return map[string]any{"id": given.ID, "error": err.Error()}
	}
	return map[string]any{"id": given.ID, "result": result}
}

var output sync.Mutex

func say(what any) {
	output.Lock()
	defer output.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(what); err != nil {
		panic(err)
	}
}
