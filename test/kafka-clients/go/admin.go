package main

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
)

func admin(given args) (*kadm.Client, error) {
	cl, err := client(given)
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(cl), nil
}

// with gives an operation an admin of its own.
func with[T any](given args, use func(*kadm.Client) (T, error)) (any, error) {
	adm, err := admin(given)
	if err != nil {
		return nil, err
	}
	defer adm.Close()
	return use(adm)
}

func createTopic(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		config := map[string]*string{}
		for name, value := range given.Config {
			config[name] = &value
		}
		_, err := adm.CreateTopic(ctx, given.Partitions, 1, config, given.Topic)
		return nil, err
	})
}

func describeTopic(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		topics, err := adm.ListTopics(ctx, given.Topic)
		if err != nil {
			return nil, err
		}
		topic := topics[given.Topic]
		leaders := map[int32]int32{}
		for _, each := range topic.Partitions {
			leaders[each.Partition] = each.Leader
		}
		return leaders, topic.Err
	})
}

func describeConfig(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		configs, err := adm.DescribeTopicConfigs(ctx, given.Topic)
		if err != nil {
			return nil, err
		}
		config, err := configs.On(given.Topic, nil)
		values := map[string]string{}
		for _, each := range config.Configs {
			values[each.Key] = each.MaybeValue()
		}
		return values, errors.Join(err, config.Err)
	})
}

func grow(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		answers, err := adm.UpdatePartitions(ctx, given.Count, given.Topic)
		return nil, errors.Join(err, answers.Error())
	})
}

func deleteTopic(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		_, err := adm.DeleteTopic(ctx, given.Topic)
		return nil, err
	})
}

func startOffsets(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		listed, err := adm.ListStartOffsets(ctx, given.Topic)
		return byPartition(listed, given.Topic), errors.Join(err, listed.Error())
	})
}

func endOffsets(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		listed, err := adm.ListEndOffsets(ctx, given.Topic)
		return byPartition(listed, given.Topic), errors.Join(err, listed.Error())
	})
}

func timeOffsets(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		listed, err := adm.ListOffsetsAfterMilli(ctx, given.Time, given.Topic)
		return byPartition(listed, given.Topic), errors.Join(err, listed.Error())
	})
}

func byPartition(listed kadm.ListedOffsets, topic string) map[int32]int64 {
	offsets := map[int32]int64{}
	for partition, each := range listed[topic] {
		offsets[partition] = each.Offset
	}
	return offsets
}

func offsetsOf(given args) kadm.Offsets {
	var offsets kadm.Offsets
	for partition, offset := range given.Offsets {
		offsets.AddOffset(given.Topic, partition, offset, -1)
	}
	return offsets
}

// trim deletes the records before the offsets.
func trim(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		answers, err := adm.DeleteRecords(ctx, offsetsOf(given))
		return nil, errors.Join(err, answers.Error())
	})
}

func listGroups(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		listed, err := adm.ListGroups(ctx)
		states := map[string]string{}
		for id, each := range listed {
			states[id] = each.State
		}
		return states, err
	})
}

// describeGroup returns the state, and how many partitions each member has.
func describeGroup(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		shares := []int{}
		if given.Protocol == "consumer" {
			groups, err := adm.DescribeConsumerGroups(ctx, given.GroupID)
			group := groups[given.GroupID]
			for _, each := range group.Members {
				count := 0
				for _, partitions := range each.Assignment {
					count += len(partitions)
				}
				shares = append(shares, count)
			}
			return map[string]any{"state": group.State, "shares": shares}, errors.Join(err, group.Err)
		}
		groups, err := adm.DescribeGroups(ctx, given.GroupID)
		group := groups[given.GroupID]
		for _, each := range group.Members {
			assigned, _ := each.Assigned.AsConsumer()
			count := 0
			for _, topic := range assigned.Topics {
				count += len(topic.Partitions)
			}
			shares = append(shares, count)
		}
		return map[string]any{"state": group.State, "shares": shares}, errors.Join(err, group.Err)
	})
}

func lag(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		lags, err := adm.Lag(ctx, given.GroupID)
		group := lags[given.GroupID]
		return map[string]any{"state": group.State, "total": group.Lag.Total()}, errors.Join(err, group.Error())
	})
}

func commit(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		return nil, adm.CommitAllOffsets(ctx, given.GroupID, offsetsOf(given))
	})
}

func deleteGroup(ctx context.Context, given args) (any, error) {
	return with(given, func(adm *kadm.Client) (any, error) {
		_, err := adm.DeleteGroup(ctx, given.GroupID)
		return nil, err
	})
}
