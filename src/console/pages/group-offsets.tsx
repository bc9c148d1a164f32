// The committed offsets of a group, and their reset: choose partitions, choose a target, check the plan, and
// confirm it with the group's name. The confirmed plan is exactly the one that was shown.
import { useState } from "preact/hooks";
import type { GroupInfo, ResetResult } from "../../core/group-info.ts";
import { groupPath } from "../../protocol/paths.ts";
import { announce } from "../announce.ts";
import { request } from "../api.ts";
import { focusPage, useFocus } from "../focus.ts";
import { countText, numberText } from "../format.ts";
import {
  changeText,
  MODE_FIELDS,
  type PlannedOffset,
  placeKey,
  planAsIs,
  RESET_MODES,
  type ResetMode,
  resetTo,
} from "../reset-plan.ts";
import { isOffered } from "../session.ts";
import { Confirm } from "../ui/confirm.tsx";
import { Checkbox, Choice, Field, Form } from "../ui/form.tsx";
import { Empty } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";

type Offset = GroupInfo["offsets"][number];

export function GroupOffsets({ group }: { group: GroupInfo }) {
  const { groupId, offsets } = group;
  const [plan, setPlan] = useState<readonly PlannedOffset[] | null>(null);
  const [forgotten, setForgotten] = useState<string | null>(null);
  if (offsets.length === 0) return <Empty>The group has no committed offsets.</Empty>;
  if (!isOffered("READ", "group", groupId))
    return (
      <p class="note">
        You may view this group, but not reset its offsets: that requires READ on the group and on
        the topics.
      </p>
    );
  const topics = [...new Set(offsets.map(({ topic }) => topic))];
  return (
    <>
      <h2>Reset offsets</h2>
      {group.members.length > 0 && (
        <p class="note">
          The group has {countText(group.members.length, "member")}. Offsets can be reset only while
          there are none, so stop them first.
        </p>
      )}
      {plan === null ? (
        <Choose group={group} topics={topics} onPlan={setPlan} />
      ) : (
        <Plan
          groupId={groupId}
          plan={plan}
          onChange={setPlan}
          onEnd={() => {
            setPlan(null);
            focusPage();
          }}
        />
      )}
      {isOffered("DELETE", "group", groupId) && plan === null && (
        <>
          <h2>Delete offsets</h2>
          <p>The group then starts in the topic as if it had never read it.</p>
          <ul class="plain">
            {topics.map((topic) => (
              <li key={topic} class="row">
                <span class="data">{topic}</span>
                <button type="button" class="dangerous" onClick={() => setForgotten(topic)}>
                  Delete<span class="unseen"> the offsets in {topic}</span>…
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
      {forgotten !== null && (
        <Forget groupId={groupId} topic={forgotten} onClose={() => setForgotten(null)} />
      )}
    </>
  );
}

function Choose(props: {
  group: GroupInfo;
  topics: readonly string[];
  onPlan: (plan: readonly PlannedOffset[]) => void;
}) {
  const { group, topics, onPlan } = props;
  const [chosen, setChosen] = useState<ReadonlySet<string>>(
    () => new Set(group.offsets.map(placeKey)),
  );
  const [mode, setMode] = useState<ResetMode>("earliest");
  const [text, setText] = useState("");
  const to = resetTo(mode, text);
  const field = MODE_FIELDS[mode];
  const preview = async () => {
    if (to === "each") return onPlan(planAsIs(group.offsets, chosen));
    const named = topics.filter((topic) =>
      group.offsets.some((each) => each.topic === topic && chosen.has(placeKey(each))),
    );
    const { offsets } = await request<ResetResult>("POST", `${groupPath(group.groupId)}/offsets`, {
      body: { topics: named, to, dryRun: true },
    });
    const plan = offsets.filter((each) => chosen.has(placeKey(each)));
    announce(`The plan has ${countText(plan.length, "partition")}. Nothing has changed yet.`);
    onPlan(plan);
  };
  return (
    <Form action="Preview" act={preview} isReady={chosen.size > 0 && to !== null}>
      <fieldset>
        <legend>Partitions</legend>
        {topics.map((topic) => (
          <TopicChoice
            key={topic}
            topic={topic}
            offsets={group.offsets.filter((each) => each.topic === topic)}
            chosen={chosen}
            onChange={setChosen}
          />
        ))}
        {chosen.size === 0 && <p class="muted">Choose at least one partition.</p>}
      </fieldset>
      <Choice label="Reset to" value={mode} options={RESET_MODES} onChoose={setMode} />
      {field !== undefined && (
        <Field
          label={field.label}
          hint={field.hint}
          type={field.type}
          value={text}
          onInput={setText}
          isNarrow
        />
      )}
    </Form>
  );
}

/** A topic with its partitions. */
function TopicChoice(props: {
  topic: string;
  offsets: readonly Offset[];
  chosen: ReadonlySet<string>;
  onChange: (chosen: ReadonlySet<string>) => void;
}) {
  const { topic, offsets, chosen, onChange } = props;
  const [isOpen, setOpen] = useState(false);
  const keys = offsets.map(placeKey);
  const count = keys.filter((key) => chosen.has(key)).length;
  const change = (changed: readonly string[], isChosen: boolean) => {
    const after = new Set(chosen);
    for (const key of changed) {
      if (isChosen) after.add(key);
      else after.delete(key);
    }
    onChange(after);
  };
  return (
    <div class="choice">
      <Checkbox
        label={
          <>
            <span class="data">{topic}</span>{" "}
            <span class="muted">
              {numberText(count)} of {countText(keys.length, "partition")}
            </span>
          </>
        }
        isChecked={count === keys.length}
        onChange={(isChecked) => change(keys, isChecked)}
      />
      <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {isOpen ? "Hide partitions" : "Choose partitions"}
        <span class="unseen"> of {topic}</span>
      </button>
      {isOpen && (
        <ul class="plain columns">
          {offsets.map((each) => (
            <li key={each.partition}>
              <Checkbox
                label={`${each.partition} (${each.lag === null ? "none committed" : `lag ${numberText(each.lag)}`})`}
                isChecked={chosen.has(placeKey(each))}
                onChange={(isChecked) => change([placeKey(each)], isChecked)}
              />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Plan(props: {
  groupId: string;
  plan: readonly PlannedOffset[];
  onChange: (plan: readonly PlannedOffset[]) => void;
  onEnd: () => void;
}) {
  const { groupId, plan, onChange, onEnd } = props;
  const [isConfirming, setConfirming] = useState(false);
  const ref = useFocus<HTMLParagraphElement>();
  const isWhole = plan.every(({ offset }) => Number.isSafeInteger(offset) && offset >= 0);
  const edit = (edited: PlannedOffset, offset: number) =>
    onChange(plan.map((each) => (each === edited ? { ...each, offset } : each)));
  const columns: readonly Column<PlannedOffset>[] = [
    {
      title: "Partition",
      cell: ({ topic, partition }) => (
        <span class="data">
          {topic} {partition}
        </span>
      ),
    },
    {
      title: "Committed",
      isNumber: true,
      cell: ({ committedOffset }) =>
        committedOffset === null ? <em>none committed</em> : numberText(committedOffset),
    },
    {
      title: "New offset",
      isNumber: true,
      cell: (each) => (
        <input
          class="offset"
          type="number"
          min={0}
          step={1}
          aria-label={`New offset of ${each.topic} ${each.partition}`}
          value={Number.isNaN(each.offset) ? "" : String(each.offset)}
          onInput={(event) => edit(each, event.currentTarget.valueAsNumber)}
        />
      ),
    },
    { title: "Change", isLong: true, cell: changeText },
  ];
  const apply = async () => {
    const offsets = plan.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
    await request("POST", `${groupPath(groupId)}/offsets`, { body: { offsets } });
    announce(`The offsets of ${countText(plan.length, "partition")} were reset.`);
    onEnd();
  };
  return (
    <>
      <p tabIndex={-1} ref={ref}>
        <strong>This is the plan. Nothing has changed yet.</strong> You can edit each new offset.
      </p>
      <Table
        caption="Plan of the reset"
        isCaptionHidden
        columns={columns}
        rows={plan}
        keyOf={placeKey}
      />
      <div class="buttons">
        <button
          type="button"
          class="primary dangerous"
          disabled={!isWhole}
          onClick={() => setConfirming(true)}
        >
          Set {countText(plan.length, "offset")}…
        </button>
        <button type="button" onClick={onEnd}>
          Back
        </button>
      </div>
      {isConfirming && (
        <Confirm
          title="Reset the offsets?"
          name={groupId}
          action={`Set ${countText(plan.length, "offset")}`}
          act={apply}
          onClose={() => setConfirming(false)}
        >
          <p>
            <span class="data">{groupId}</span> continues from the new offsets in{" "}
            {countText(plan.length, "partition")}.
          </p>
        </Confirm>
      )}
    </>
  );
}

function Forget(props: { groupId: string; topic: string; onClose: () => void }) {
  const { groupId, topic, onClose } = props;
  const act = async () => {
    await request("DELETE", `${groupPath(groupId)}/offsets?topics=${encodeURIComponent(topic)}`);
    announce(`The offsets in ${topic} were deleted.`);
    onClose();
  };
  return (
    <Confirm
      title="Delete the offsets?"
      name={groupId}
      action="Delete the offsets"
      act={act}
      onClose={onClose}
    >
      <p>
        <span class="data">{groupId}</span> loses its committed offsets in{" "}
        <span class="data">{topic}</span>. This cannot be undone.
      </p>
    </Confirm>
  );
}
