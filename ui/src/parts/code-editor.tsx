// A text editor for JSON, with colours, completion and faults at their place. It lives in a shadow root, where its style
// sheets may be adopted: the pages' policy allows no inline style.

import { effect, type Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { autocompletion, closeBrackets, completionKeymap, type CompletionSource } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { json, jsonParseLinter } from '@codemirror/lang-json';
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from '@codemirror/language';
import { linter, type Diagnostic } from '@codemirror/lint';
import { Compartment, EditorState } from '@codemirror/state';
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';

const look = EditorView.theme({
  '&': { color: 'var(--ink)', backgroundColor: 'var(--surface)', fontSize: '0.9rem' },
  '&.cm-focused': { outline: 'none' },
  '.cm-content': { fontFamily: 'var(--mono)', caretColor: 'var(--ink)', padding: '0.5rem 0' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.5', maxHeight: '45vh', minHeight: 'var(--editor-rows, 7rem)' },
  '.cm-gutters': { backgroundColor: 'var(--sunken)', color: 'var(--ink-soft)', border: '0' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--accent) 7%, transparent)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'color-mix(in srgb, var(--accent) 28%, transparent)' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-matchingBracket': { backgroundColor: 'var(--accent-soft)', outline: '1px solid var(--accent)' },
  '.cm-tooltip': { backgroundColor: 'var(--raised)', color: 'var(--ink)', border: '1px solid var(--line)', borderRadius: '8px', boxShadow: 'var(--shadow)' },
  '.cm-tooltip-autocomplete > ul > li': { padding: '0.15rem 0.6rem' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--accent-soft)', color: 'var(--ink)' },
  '.cm-completionDetail': { color: 'var(--ink-soft)', fontStyle: 'normal' },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--bad)' },
});

const colours = HighlightStyle.define([
  { tag: tags.propertyName, color: 'var(--accent)' },
  { tag: tags.string, color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--warn)' },
]);

export interface Mark {
  from: number;
  to: number;
  message: string;
}

export function CodeEditor(
  { text, onEdit, onRun, label, completion, marks = [], readOnly = false }: {
    /** Both ways: what is typed is in it at once, what is put into it is shown. */
    text: Signal<string>;
    onEdit?: () => void;
    onRun?: () => void;
    label: string;
    completion?: CompletionSource;
    marks?: Mark[];
    readOnly?: boolean;
  },
) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef({ onEdit, onRun, completion, marks });
  latest.current = { onEdit, onRun, completion, marks };
  const lint = useRef(new Compartment());
  const lints = () => linter((of): Diagnostic[] => {
    const text = of.state.doc.toString();
    const wrong = text.trim() ? jsonParseLinter()(of) : [];
    const within = (at: number) => Math.max(0, Math.min(at, text.length));
    return [...wrong, ...latest.current.marks.map((mark) => ({ from: within(mark.from), to: within(mark.to), message: mark.message, severity: 'error' as const }))];
  }, { delay: 200 });
  useEffect(() => {
    const root = host.current?.shadowRoot ?? host.current?.attachShadow({ mode: 'open' });
    if (!root) return;
    view.current = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: text.peek(),
        extensions: [
          lineNumbers(), history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(), highlightActiveLine(),
          json(), syntaxHighlighting(colours), look, lint.current.of(lints()),
          autocompletion({ override: [(context) => latest.current.completion?.(context) ?? null] }),
          EditorState.readOnly.of(readOnly),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': label, 'aria-multiline': 'true' }),
          EditorView.updateListener.of((update) => {
            if (!update.docChanged) return;
            const now = update.state.doc.toString();
            if (now === text.peek()) return;
            text.value = now;
            latest.current.onEdit?.();
          }),
          keymap.of([
            { key: 'Mod-Enter', run: () => (latest.current.onRun?.(), true) },
            ...completionKeymap, ...historyKeymap, ...defaultKeymap,
          ]),
        ],
      }),
    });
    return () => view.current?.destroy();
  }, []);
  useEffect(() => effect(() => {
    const [wanted, now] = [text.value, view.current?.state.doc.toString()];
    if (view.current && now !== wanted) view.current.dispatch({ changes: { from: 0, to: now?.length ?? 0, insert: wanted } });
  }), []);
  useEffect(() => {
    view.current?.dispatch({ effects: lint.current.reconfigure(lints()) });
  }, [JSON.stringify(marks)]);
  return <div class="editor" ref={host} />;
}
