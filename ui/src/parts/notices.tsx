import { dismiss, notices, type Notice } from '../state/notices';
import { complain } from '../state/notices';
import { Button } from './basics';

export function Notices() {
  const act = async (notice: Notice) => {
    dismiss(notice.id);
    try {
      await notice.action?.run();
    } catch (fault) {
      complain(fault);
    }
  };
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map((notice) => (
        <div key={notice.id} class={`notice ${notice.bad ? 'bad' : ''}`}>
          <span>{notice.text}</span>
          {notice.action && <Button onClick={() => act(notice)}>{notice.action.label}</Button>}
          <Button kind="quiet" icon="close" aria-label="Dismiss" onClick={() => dismiss(notice.id)} />
        </div>
      ))}
    </div>
  );
}
