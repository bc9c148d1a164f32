// The access page: the caller, a check of rights, and the API keys.
import { useEffect, useState } from "preact/hooks";
import { isAllowed } from "../../core/access/grants.ts";
import { OPERATIONS_OF, type Operation, type ResourceType } from "../../core/access/operations.ts";
import type { CreatedKey, KeyInfo, Role } from "../../core/access-info.ts";
import { KEYS_PATH, keyPath } from "../../protocol/paths.ts";
import { announce } from "../announce.ts";
import { get, request } from "../api.ts";
import { grantText } from "../grants-text.ts";
import { useLoad } from "../load.ts";
import { isOffered, me } from "../session.ts";
import { Confirm } from "../ui/confirm.tsx";
import { CopyButton } from "../ui/copy-button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Choice, Field, Form } from "../ui/form.tsx";
import { Scroll } from "../ui/scroll.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { Time } from "../ui/time.tsx";

export function AccessPage() {
  return (
    <>
      <h1>Access</h1>
      <You />
      {isOffered("DESCRIBE", "cluster") ? <Keys /> : <Question keys={[]} />}
    </>
  );
}

type Grants = KeyInfo["grants"];

function GrantList({ grants }: { grants: Grants }) {
  if (grants.length === 0) return <em>May do nothing.</em>;
  return (
    <ul class="plain data">
      {grants.map((grant) => (
        <li key={JSON.stringify(grant)}>{grantText(grant)}</li>
      ))}
    </ul>
  );
}

function You() {
  const caller = me.value;
  if (caller === null) return null;
  return (
    <section aria-labelledby="you">
      <h2 id="you">You</h2>
      <dl class="facts">
        <div>
          <dt>Principal</dt>
          <dd class="data">{caller.principal}</dd>
        </div>
        {caller.namespace !== undefined && (
          <div>
            <dt>Namespace</dt>
            <dd class="data">{caller.namespace}</dd>
          </div>
        )}
        {caller.expiresAt !== undefined && (
          <div>
            <dt>Expires</dt>
            <dd>
              <Time ms={Date.parse(caller.expiresAt)} />
            </dd>
          </div>
        )}
      </dl>
      <GrantList grants={caller.grants} />
    </section>
  );
}

const TYPES = [
  ["topic", "topic"],
  ["group", "group"],
  ["cluster", "cluster"],
] as const satisfies readonly (readonly [ResourceType, string])[];

const YOU = "";

/** "May X do Y?", answered from the grants that are shown. */
function Question({ keys }: { keys: readonly KeyInfo[] }) {
  const [who, setWho] = useState(YOU);
  const [type, setType] = useState<ResourceType>("topic");
  const [operation, setOperation] = useState<Operation>("READ");
  const [name, setName] = useState("");
  const key = keys.find(({ id }) => id === who);
  const grants = who === YOU ? me.value?.grants : key?.grants;
  const operations = OPERATIONS_OF[type];
  const asked = operations.includes(operation) ? operation : (operations[0] ?? "READ");
  const isComplete = type === "cluster" || name !== "";
  const allowed = isAllowed({ grants: grants ?? [] }, asked, { type, name });
  const answer = allowed ? "Yes, it may." : "No, no grant allows it.";
  useEffect(() => {
    if (isComplete) announce(answer);
  }, [isComplete, answer]);
  const people = keys.map(({ id, principal }) => [id, `${principal} (${id})`] as const);
  return (
    <section aria-labelledby="question">
      <h2 id="question">Check a right</h2>
      <div class="row top">
        <Choice label="Caller" value={who} options={[[YOU, "you"], ...people]} onChoose={setWho} />
        <Choice
          label="Operation"
          value={asked}
          options={operations.map((each) => [each, each] as const)}
          onChoose={setOperation}
        />
        <Choice label="Resource" value={type} options={TYPES} onChoose={setType} />
        {type !== "cluster" && <Field label="Name" value={name} onInput={setName} isNarrow />}
      </div>
      <p>
        {isComplete && <strong class={allowed ? "ok-text" : "danger-text"}>{answer}</strong>}
        {isComplete && key?.namespace !== undefined && (
          <span> Its names are in the namespace {key.namespace}.</span>
        )}
      </p>
    </section>
  );
}

function Keys() {
  const loading = useLoad((aborted) => get<{ keys: readonly KeyInfo[] }>(KEYS_PATH, aborted), []);
  const [isCreating, setCreating] = useState(false);
  const [revoked, setRevoked] = useState<KeyInfo | null>(null);
  const mayAlter = isOffered("ALTER", "cluster");
  return (
    <Loaded what="the keys" loading={loading}>
      {({ keys }) => (
        <>
          <Question keys={keys} />
          <div class="row">
            <h2>API keys</h2>
            {mayAlter && (
              <button type="button" onClick={() => setCreating(true)}>
                Create a key…
              </button>
            )}
          </div>
          {keys.length === 0 ? (
            <Empty>There are no API keys.</Empty>
          ) : (
            <Table
              caption="API keys"
              isCaptionHidden
              columns={columnsWith(mayAlter ? setRevoked : null)}
              rows={keys}
              keyOf={({ id }) => id}
            />
          )}
          {isCreating && <Create onClose={() => setCreating(false)} onCreated={loading.reload} />}
          {revoked !== null && (
            <Revoke apiKey={revoked} onClose={() => setRevoked(null)} onDone={loading.reload} />
          )}
        </>
      )}
    </Loaded>
  );
}

function columnsWith(onRevoke: ((key: KeyInfo) => void) | null): Column<KeyInfo>[] {
  const columns: Column<KeyInfo>[] = [
    { title: "Key", cell: ({ id }) => <span class="data">{id}</span> },
    { title: "Principal", cell: ({ principal }) => <span class="data">{principal}</span> },
    { title: "Grants", isLong: true, cell: ({ grants }) => <GrantList grants={grants} /> },
    { title: "Namespace", cell: ({ namespace }) => <span class="data">{namespace ?? "–"}</span> },
    { title: "Created", cell: ({ createdAt }) => <Time ms={Date.parse(createdAt)} /> },
    {
      title: "Expires",
      cell: ({ expiresAt }) =>
        expiresAt === null ? "never" : <span class="data">{expiresAt.slice(0, 10)}</span>,
    },
    { title: "Last used", cell: ({ lastUsed }) => lastUsed ?? "never" },
  ];
  if (onRevoke !== null)
    columns.push({
      title: "Actions",
      cell: (key) => (
        <button type="button" class="dangerous" onClick={() => onRevoke(key)}>
          Revoke<span class="unseen"> {key.id}</span>…
        </button>
      ),
    });
  return columns;
}

type Rights = Role | "names";

const RIGHTS: readonly (readonly [Rights, string])[] = [
  ["read", "read all topics"],
  ["write", "write all topics"],
  ["consume", "consume all topics, in any group"],
  ["admin", "do everything"],
  ["names", "only names with a prefix"],
];

function Create({ onClose, onCreated }: { onClose: () => void; onCreated: () => void }) {
  const [principal, setPrincipal] = useState("");
  const [rights, setRights] = useState<Rights>("consume");
  const [prefix, setPrefix] = useState("");
  const [created, setCreated] = useState<CreatedKey | null>(null);
  const create = async () => {
    const given =
      rights === "names"
        ? {
            grants: [
              { topics: { prefix }, operations: ["READ", "WRITE"] },
              { groups: { prefix }, operations: ["READ"] },
            ],
          }
        : { role: rights };
    const key = await request<CreatedKey>("POST", KEYS_PATH, { body: { principal, ...given } });
    announce("The key was created. It is shown once.");
    setCreated(key);
    onCreated();
  };
  if (created !== null)
    return (
      <Dialog title="The key, shown only once" onClose={onClose}>
        <p>
          It is not shown again. Kafka's clients use <span class="data">{created.id}</span> as the
          user name and <code class="data">{created.secret}</code> as the password.
        </p>
        <Scroll label="The key" class="bytes">
          <pre class="data">{created.key}</pre>
        </Scroll>
        <div class="buttons">
          <CopyButton label="Copy the key" text={() => created.key} />
          <button type="button" class="primary" onClick={onClose}>
            Done
          </button>
        </div>
      </Dialog>
    );
  return (
    <Dialog title="Create a key" onClose={onClose}>
      <Form
        action="Create"
        act={create}
        isReady={principal !== "" && (rights !== "names" || prefix !== "")}
        onCancel={onClose}
      >
        <Field
          label="Principal"
          value={principal}
          onInput={setPrincipal}
          isRequired
          hint="The owner of the key, such as User:billing."
        />
        <Choice label="Rights" value={rights} options={RIGHTS} onChoose={setRights} />
        {rights === "names" && (
          <Field
            label="Prefix of the topics and groups"
            value={prefix}
            onInput={setPrefix}
            isRequired
            hint="It may read and write topics with this prefix, in groups with this prefix. Use the command line for other grants."
          />
        )}
      </Form>
    </Dialog>
  );
}

function Revoke(props: { apiKey: KeyInfo; onClose: () => void; onDone: () => void }) {
  const { apiKey, onClose, onDone } = props;
  const act = async () => {
    await request("DELETE", keyPath(apiKey.id));
    announce(`Key ${apiKey.id} was revoked.`);
    onClose();
    onDone();
  };
  return (
    <Confirm title="Revoke the key?" name={apiKey.id} action="Revoke" act={act} onClose={onClose}>
      <p>
        Requests by <span class="data">{apiKey.principal}</span> with this key are refused within
        seconds, and its sockets are closed within five minutes. This cannot be undone.
      </p>
    </Confirm>
  );
}
