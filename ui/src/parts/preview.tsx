// A stored file: fetched with the credential, shown as what it is where that is safe.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { fileBytes } from '../api/stack';
import { bytes } from '../lib/format';
import { complain } from '../state/notices';
import { Button } from './basics';

const PREVIEW_BYTES_MAX = 20 * 1024 * 1024;
const TEXT_CHARS_MAX = 20_000;
const SHOWN_AS_TEXT = /^(text\/|application\/(json|xml|x-ndjson|yaml|toml))/;

type Shown = { image: string } | { text: string } | { nothing: string };

async function look(fileId: string, mimeType: string | undefined, signal: AbortSignal): Promise<Shown> {
  const blob = await fileBytes(fileId, signal);
  const type = mimeType ?? blob.type;
  if (type.startsWith('image/') && type !== 'image/svg+xml') return { image: URL.createObjectURL(blob) };
  if (SHOWN_AS_TEXT.test(type) || type === 'image/svg+xml') {
    const text = await blob.slice(0, TEXT_CHARS_MAX * 4).text();
    return { text: text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX)}…` : text };
  }
  return { nothing: `${type || 'bytes'}, ${bytes(blob.size)}` };
}

export function Preview({ fileId, mimeType, size, name }: { fileId: string; mimeType?: string; size?: number; name?: string }) {
  const shown = useSignal<Shown | null>(null);
  useEffect(() => {
    if (size !== undefined && size > PREVIEW_BYTES_MAX) {
      shown.value = { nothing: `${bytes(size)}: too large for a preview` };
      return;
    }
    const stop = new AbortController();
    shown.value = null;
    look(fileId, mimeType, stop.signal).then(
      (found) => (shown.value = found),
      (fault: unknown) => {
        if (!stop.signal.aborted) shown.value = { nothing: fault instanceof Error ? fault.message : String(fault) };
      },
    );
    return () => {
      stop.abort();
      if (shown.value && 'image' in shown.value) URL.revokeObjectURL(shown.value.image);
    };
  }, [fileId, mimeType]);
  const now = shown.value;
  return (
    <div class="preview">
      {!now && <span class="hint">Loading…</span>}
      {now && 'image' in now && <img src={now.image} alt={name ?? 'Preview of the file'} />}
      {now && 'text' in now && <pre tabIndex={0}>{now.text}</pre>}
      {now && 'nothing' in now && <span class="hint">{now.nothing}</span>}
    </div>
  );
}

export function Download({ fileId, name }: { fileId: string; name: string }) {
  const run = async () => {
    try {
      const url = URL.createObjectURL(await fileBytes(fileId));
      const link = document.createElement('a');
      link.href = url;
      link.download = name;
      link.click();
      // The browser has begun to read it by the next turn.
      setTimeout(() => URL.revokeObjectURL(url), 1_000);
    } catch (fault) {
      complain(fault);
    }
  };
  return <Button icon="down" onClick={run}>Download</Button>;
}
