export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M5 24 12.5 11l5 7.5L26 6" />
    </svg>
  );
}
