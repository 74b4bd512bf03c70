import { useTranslation } from "react-i18next";
import { Link } from "react-router";

export function NotFound() {
  const { t } = useTranslation();
  return (
    <div className="grid flex-1 place-items-center p-6">
      <div className="max-w-md">
        <h1 className="font-serif text-2xl font-bold">{t("app.notFound")}</h1>
        <p className="mt-2 text-ink-2">{t("app.notFoundHint")}</p>
        <Link to="/" className="button primary mt-5">
          {t("app.home")}
        </Link>
      </div>
    </div>
  );
}
