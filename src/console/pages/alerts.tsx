// Alerts: the rules, the firing ones, and the use of each budget.
import { useState } from "preact/hooks";
import type { AlertInfo, AlertType } from "../../core/alerts/alert.ts";
import type { BudgetUse } from "../../core/metrics/budgets.ts";
import { ALERTS_PATH, alertPath } from "../../protocol/paths.ts";
import { ALERT_KINDS, ruleText } from "../alert-text.ts";
import { announce } from "../announce.ts";
import { get, request } from "../api.ts";
import { dollarsText, numberText } from "../format.ts";
import { useLoad } from "../load.ts";
import { isOffered } from "../session.ts";
import { Confirm } from "../ui/confirm.tsx";
import { CopyButton } from "../ui/copy-button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Checkbox, Choice, Field, Form } from "../ui/form.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { Time } from "../ui/time.tsx";

export interface AlertsAnswer {
  readonly alerts: readonly AlertInfo[];
  readonly budgets: readonly BudgetUse[];
}

const BUDGET_COLUMNS: readonly Column<BudgetUse>[] = [
  { title: "Name", cell: ({ name }) => <span class="data">{name}</span> },
  { title: "Kind", cell: ({ kind }) => kind },
  {
    title: "A day",
    isNumber: true,
    cell: ({ dollarsPerDay }) => dollarsText(dollarsPerDay),
  },
  { title: "Used today", isNumber: true, cell: ({ dollars }) => dollarsText(dollars) },
  {
    title: "Percent",
    isNumber: true,
    cell: ({ percent }) =>
      percent < 100 ? (
        numberText(Math.round(percent))
      ) : (
        <strong class="danger-text">{numberText(Math.round(percent))}: refused</strong>
      ),
  },
];

/** The open dialog and its alert. Null is a new alert. */
type Open =
  | { readonly dialog: "set"; readonly alert: AlertInfo | null }
  | { readonly dialog: "remove"; readonly alert: AlertInfo }
  | { readonly dialog: "secret"; readonly secret: string };

export function AlertsPage() {
  const loading = useLoad((aborted) => get<AlertsAnswer>(ALERTS_PATH, aborted), []);
  const [open, setOpen] = useState<Open | null>(null);
  const mayAlter = isOffered("ALTER", "cluster");
  const close = () => setOpen(null);
  const test = async ({ name }: AlertInfo) => {
    await request("POST", `${alertPath(name)}/test`).then(
      () => announce(`A test of ${name} was sent. Reload to see its outcome.`),
      (error: unknown) => announce(`The test failed: ${(error as Error).message}`),
    );
    loading.reload();
  };
  const actions: Column<AlertInfo> = {
    title: "Actions",
    cell: (alert) => (
      <div class="row">
        <button type="button" onClick={() => setOpen({ dialog: "set", alert })}>
          Edit…
        </button>
        {alert.webhook !== null && (
          <button type="button" onClick={() => void test(alert)}>
            Test
          </button>
        )}
        <button type="button" onClick={() => setOpen({ dialog: "remove", alert })}>
          Remove…
        </button>
      </div>
    ),
  };
  return (
    <>
      <div class="row">
        <h1>Alerts</h1>
        {mayAlter && (
          <button type="button" onClick={() => setOpen({ dialog: "set", alert: null })}>
            Create an alert…
          </button>
        )}
        <button type="button" onClick={loading.reload}>
          Reload
        </button>
      </div>
      <Loaded what="the alerts" loading={loading}>
        {({ alerts, budgets }) => (
          <>
            {alerts.length === 0 ? (
              <Empty>
                There are no alerts. An alert fires when a group falls behind or has no members,
                when a partition is nearly full, or when a budget is nearly used up. It notifies a
                webhook.
              </Empty>
            ) : (
              <Table
                caption="Alerts"
                isCaptionHidden
                columns={mayAlter ? [...COLUMNS, actions] : COLUMNS}
                rows={alerts}
                keyOf={({ name }) => name}
              />
            )}
            <h2>Budgets</h2>
            {budgets.length === 0 ? (
              <Empty>
                No budgets are known. A topic gets one by its config budget.usd.per.day, and an API
                key by dollarsPerDay in its quota.
              </Empty>
            ) : (
              <Table
                caption="Budgets of topics and principals for today, until midnight UTC"
                columns={BUDGET_COLUMNS}
                rows={budgets}
                keyOf={({ kind, name }) => `${kind} ${name}`}
              />
            )}
          </>
        )}
      </Loaded>
      {open?.dialog === "set" && (
        <SetAlert
          alert={open.alert}
          onClose={close}
          onSet={(secret) => {
            loading.reload();
            setOpen(secret === undefined ? null : { dialog: "secret", secret });
          }}
        />
      )}
      {open?.dialog === "secret" && <Secret secret={open.secret} onClose={close} />}
      {open?.dialog === "remove" && (
        <Confirm
          title={`Remove ${open.alert.name}`}
          name={open.alert.name}
          action="Remove the alert"
          act={async () => {
            await request("DELETE", alertPath(open.alert.name));
            announce(`${open.alert.name} was removed.`);
            loading.reload();
            close();
          }}
          onClose={close}
        >
          <p>Firing alerts are resolved, and the webhook is notified.</p>
        </Confirm>
      )}
    </>
  );
}

const OUTCOMES = {
  delivered: "Delivered",
  failing: "Failed, and will be retried;",
  "given up": "Gave up;",
} as const;

const COLUMNS: readonly Column<AlertInfo>[] = [
  { title: "Alert", cell: ({ name }) => <span class="data">{name}</span> },
  { title: "Fires when", isLong: true, cell: (alert) => ruleText(alert) },
  {
    title: "Now",
    isLong: true,
    cell: ({ firing, beyond }) => (
      <>
        <FiringList firing={firing} />
        {beyond > 0 && (
          <p>{numberText(beyond)} more meet the rule but are not reported: the list is full.</p>
        )}
      </>
    ),
  },
  {
    title: "Sent to",
    isLong: true,
    cell: ({ webhook, lastDelivery }) =>
      webhook === null ? (
        <em>no webhook</em>
      ) : (
        <>
          <span class="data">{webhook}</span>
          {lastDelivery !== null && (
            <div class={lastDelivery.outcome === "delivered" ? "muted" : "danger-text"}>
              {OUTCOMES[lastDelivery.outcome]} <Time ms={lastDelivery.atMs} />:{" "}
              {lastDelivery.detail}
            </div>
          )}
        </>
      ),
  },
];

/** The firing alerts, in sentences. */
export function FiringList({ firing }: { firing: AlertInfo["firing"] }) {
  if (firing.length === 0) return <span class="muted">not firing</span>;
  return (
    <ul class="plain">
      {firing.map(({ subject, text, sinceMs }) => (
        <li key={subject}>
          <strong class="danger-text">Firing:</strong> <span class="data">{text}</span>, since{" "}
          <Time ms={sinceMs} />
        </li>
      ))}
    </ul>
  );
}

/** The thresholds that are offered first. An alert for groups without members has none. */
const THRESHOLDS: Readonly<Record<AlertType, string>> = {
  "group-lag": "60",
  "group-empty": "",
  "partition-full": "80",
  budget: "80",
};

function SetAlert(props: {
  alert: AlertInfo | null;
  onClose: () => void;
  onSet: (secret: string | undefined) => void;
}) {
  const { alert, onClose, onSet } = props;
  const [name, setName] = useState(alert?.name ?? "");
  const [type, setType] = useState<AlertType>(alert?.type ?? "group-lag");
  const [match, setMatch] = useState(alert?.match ?? "*");
  const [threshold, setThreshold] = useState(String(alert?.threshold ?? THRESHOLDS[type]));
  const [forSeconds, setForSeconds] = useState(String(alert?.forSeconds ?? 0));
  const [webhook, setWebhook] = useState(alert?.webhook ?? "");
  const [isNewSecret, setNewSecret] = useState(false);
  // Nobody has seen the secret of a rule that had no webhook.
  const isFirstWebhook = alert?.webhook === null && webhook !== "";
  const act = async () => {
    const { secret } = await request<{ secret?: string }>("PUT", alertPath(name), {
      body: {
        ...{ type, match, forSeconds: Number(forSeconds) },
        webhook: webhook === "" ? null : webhook,
        ...(type === "group-empty" ? {} : { threshold: Number(threshold) }),
        ...(isNewSecret || isFirstWebhook ? { newSecret: true } : {}),
      },
    });
    announce(`${name} was set.`);
    onSet(webhook === "" ? undefined : secret);
  };
  const choose = (chosen: AlertType) => {
    setType(chosen);
    setThreshold(THRESHOLDS[chosen]);
  };
  const whose =
    type === "budget" ? "topics or principals" : type === "partition-full" ? "topics" : "groups";
  return (
    <Dialog title={alert === null ? "Create an alert" : `Edit ${alert.name}`} onClose={onClose}>
      <Form action="Set the alert" act={act} isReady={name !== ""} onCancel={onClose}>
        {alert === null && (
          <Field
            label="Name"
            value={name}
            onInput={setName}
            isRequired
            hint="Letters, digits, dots, hyphens and underscores."
          />
        )}
        <Choice label="It fires when" value={type} options={ALERT_KINDS} onChoose={choose} />
        <Field
          label={`For these ${whose}`}
          value={match}
          onInput={setMatch}
          isRequired
          hint="A name, or a prefix followed by *. A single * means all."
        />
        {type !== "group-empty" && (
          <Field
            label={type === "group-lag" ? "Seconds behind" : "Percent"}
            value={threshold}
            onInput={setThreshold}
            type="number"
            min={1}
            isRequired
            isNarrow
          />
        )}
        <Field
          label="Seconds before it fires"
          value={forSeconds}
          onInput={setForSeconds}
          type="number"
          min={0}
          isRequired
          isNarrow
        />
        <Field
          label="Webhook"
          value={webhook}
          onInput={setWebhook}
          hint="The URL that is notified. Without one, the alert is only shown here."
        />
        {alert?.webhook != null && (
          <Checkbox
            label="Replace the secret, in case others know it"
            isChecked={isNewSecret}
            onChange={setNewSecret}
          />
        )}
      </Form>
    </Dialog>
  );
}

function Secret({ secret, onClose }: { secret: string; onClose: () => void }) {
  return (
    <Dialog title="The webhook's secret" onClose={onClose}>
      <p>
        It signs each message, as Standard Webhooks specify. It is shown only once. The receiver
        needs it to check signatures.
      </p>
      <p class="row">
        <code class="data">{secret}</code>
        <CopyButton text={() => secret} label="Copy the secret" />
      </p>
      <div class="buttons">
        <button type="button" class="primary" onClick={onClose}>
          Done
        </button>
      </div>
    </Dialog>
  );
}
