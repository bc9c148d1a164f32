// A dialog before an action that cannot be undone. It says what will happen and asks for the name.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Dialog } from "./dialog.tsx";
import { Field, Form } from "./form.tsx";

export function Confirm(props: {
  title: string;
  /** The text that has to be typed. */
  name: string;
  action: string;
  act: () => Promise<void>;
  onClose: () => void;
  isReady?: boolean;
  children: ComponentChildren;
}) {
  const { title, name, action, act, onClose, isReady = true, children } = props;
  const [typed, setTyped] = useState("");
  return (
    <Dialog title={title} onClose={onClose}>
      <Form
        action={action}
        act={act}
        isDangerous
        isReady={isReady && typed === name}
        onCancel={onClose}
      >
        {children}
        <Field label={`Type ${name} to confirm`} value={typed} onInput={setTyped} isRequired />
      </Form>
    </Dialog>
  );
}
